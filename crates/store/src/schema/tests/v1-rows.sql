-- A row of each table as version 1 wrote it.
INSERT INTO meta VALUES ('owners', '[0,1]');
INSERT INTO networks VALUES ('devnet', 31337, '["http://127.0.0.1:8545"]', 2);
INSERT INTO solutions VALUES (3, 'payments', 'Payments', 'devnet', 0, NULL, '[]', 'm/43''/60''/1775''/1''', 'payments',
    '1.0.0', '00', 'packages/payments', 0, '0x01', '{}', '{"apiVersion":1}', 'active', 1);
INSERT INTO grants VALUES (3, '"keys"', 1, NULL), (3, '"gone"', 1, 2);
INSERT INTO approvals VALUES
    (5, 'deposit', '"user"', 'key', 3, '[]', '{"value":"0x1"}', '0xdd', '{}', 'done', 'user', 2, 3, 9, '{}');
INSERT INTO accounts VALUES (3, 0, 4), (3, 4, 5);
INSERT INTO kv VALUES (3, 'key', CAST('value' AS BLOB));
INSERT INTO kv_usage VALUES (3, 8);
INSERT INTO layer2_state VALUES (3, '{"balance":"1"}', 6);
INSERT INTO cursors VALUES (3, '{"number":12}');
INSERT INTO transactions VALUES
    ('0xaa', 31337, '0x01', 7, '0x02', 5, 3, 'deposit', 'confirmed', 12, '0xb0', 1, 21000, '1', NULL, 7, 8),
    ('0xab', 31337, '0x01', 8, '0x02', NULL, 3, 'deposit', 'broadcast', NULL, NULL, NULL, NULL, NULL, NULL, 7, 8);
INSERT INTO transfers VALUES (2, 3, 'deposit', '1', 'ETH', 'confirmed', '["sent","confirmed"]', 5, '0xaa', '{}', 7, 8);
INSERT INTO calls VALUES ('app', '1', 3, 'pay', '0x', 9, 10, '"ok"');
INSERT INTO journal VALUES (1, 3, 'user', 'deposit', 'gateway', '{}', 9, 10, '"ok"');
INSERT INTO counters VALUES (3, 'getAccount', 9);
