// The part of the browser's extension API that is used here.

declare namespace chrome {
  interface Event<L> {
    addListener(listener: L): void;
  }
  namespace runtime {
    interface MessageSender {
      id?: string;
      origin?: string;
      url?: string;
      frameId?: number;
      tab?: { id?: number };
    }
    interface Port {
      readonly name: string;
      readonly sender?: MessageSender;
      readonly onMessage: Event<(message: any) => void>;
      readonly onDisconnect: Event<() => void>;
      postMessage(message: object): void;
      disconnect(): void;
    }
    const id: string;
    const lastError: { message?: string } | undefined;
    const onConnect: Event<(port: Port) => void>;
    function connect(options: { name: string }): Port;
    function connectNative(program: string): Port;
  }
  namespace storage {
    const local: {
      get(keys: string[]): Promise<Record<string, unknown>>;
      set(values: Record<string, unknown>): Promise<void>;
      /** Not in Firefox. */
      setAccessLevel?(level: { accessLevel: "TRUSTED_CONTEXTS" }): Promise<void>;
    };
  }
  namespace tabs {
    function query(filter: { active: boolean; currentWindow: boolean }): Promise<{ id?: number }[]>;
  }
  namespace action {
    function setBadgeText(details: { text: string }): Promise<void>;
    function setBadgeBackgroundColor(details: { color: string }): Promise<void>;
  }
}
