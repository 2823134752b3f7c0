// What the sandbox gives a script, as far as this plugin uses it.
declare function setTimeout(work: () => void, ms: number): number;
declare function clearTimeout(timer: number | null): void;
declare const console: { debug(text: string): void; warn(text: string): void };
