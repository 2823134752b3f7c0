// What the sandbox gives a script, as far as this plugin uses it.
declare function setTimeout(work: () => void, ms: number): number;
declare function clearTimeout(timer: number | null): void;
declare const console: { debug(text: string): void; warn(text: string): void };
declare const crypto: {
  eth: {
    /** Of a UTF-8 text, or of the bytes of 0x-hex. */
    keccak256(data: string | Uint8Array): Uint8Array;
    /** EIP-55 address; throws where there is none. */
    recover(hash: string, signature: string): string;
    verify(hash: string, signature: string, address: string): boolean;
  };
};
