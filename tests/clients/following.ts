// Keeps something in a cache equal to what the server has: reads it, subscribes to its changes, and resumes after every
// interruption. It knows neither the cache nor the library that talks to the server.

/** What every change message has. `cursor` is absent where each message is a whole state, as for folder counts. */
export interface Change {
  readonly __typename?: string;
  readonly cursor?: string;
}

/** Returns a token that is valid now; called for every request and connection, so that an expired one is replaced. */
export type GetToken = () => Promise<string>;

/** `fetch` with the token of the moment. */
export const authorized =
  (token: GetToken): typeof fetch =>
  async (input, init) => {
    const headers = new Headers(init?.headers);
    headers.set("authorization", `Bearer ${await token()}`);
    return fetch(input, { ...init, headers });
  };

/** Receives the messages of one subscription. */
export interface Sink<C> {
  next(change: C): void;
  error(reason: unknown): void;
  complete(): void;
}

/** Something in a cache that a subscription keeps up to date: one list, all lists, the tasks, the feed. */
export interface Source<C extends Change> {
  /** Reads it into the cache. Resolves to its `asOf`, or to null if it does not exist. */
  read(): Promise<string | null>;
  /** Subscribes with `after`, and returns a function that unsubscribes. */
  subscribe(after: string, sink: Sink<C>): () => void;
  /** Puts a change into the cache. The same change twice does no harm. */
  apply(change: C): void;
  /** Whether nothing can follow this change, as after the deletion of the one list that is followed. */
  isLast?(change: C): boolean;
}

/** How one subscription ended: `reread` after a Reset or an expired cursor. */
type Ending = "lost" | "reread" | "over";

const FIRST_DELAY_MS = 300;
const LONGEST_DELAY_MS = 10_000;
/** Tokens in a row that the server may refuse: the first may have expired, and the next be late. */
const MAX_REFUSED_TOKENS = 7;

/** Follows until it no longer exists or `signal` aborts. Rejects if the server refuses the request. */
export async function follow<C extends Change>(source: Source<C>, signal: AbortSignal): Promise<void> {
  let cursor: string | null = null;
  let attempts = 0;
  let rereads = 0;
  let refusedTokens = 0;
  while (!signal.aborted) {
    try {
      cursor ??= await source.read();
      if (cursor === null) return;
      const ending = await subscribeOnce(source, cursor, signal, (change) => {
        cursor = change.cursor ?? cursor;
        attempts = rereads = refusedTokens = 0;
      });
      if (ending === "over") return;
      if (ending === "reread") {
        cursor = null;
        attempts = rereads++; // the server is there: it is asked soon, unless this repeats itself
      }
    } catch (reason) {
      const failure = classify(reason);
      if (failure === "refused") throw reason;
      if (failure === "not found") cursor = null; // reading tells whether it is gone
      if (failure === "unauthenticated" && ++refusedTokens >= MAX_REFUSED_TOKENS) throw reason;
    }
    await pause(attempts++, signal);
  }
}

/** One subscription, until it ends. Rejects with the reason if it fails. */
function subscribeOnce<C extends Change>(
  source: Source<C>,
  after: string,
  signal: AbortSignal,
  onApplied: (change: C) => void,
): Promise<Ending> {
  return new Promise((resolve, reject) => {
    let ended = false;
    const end = (settle: () => void) => {
      if (ended) return;
      ended = true;
      signal.removeEventListener("abort", abort);
      settle();
      // Not at once: the first message may arrive before `subscribe` has returned.
      queueMicrotask(() => stop());
    };
    const abort = () => end(() => resolve("lost"));
    signal.addEventListener("abort", abort, { once: true });
    const stop = source.subscribe(after, {
      next(change) {
        if (ended) return;
        // The subscription ends before the new reading begins, so no late page can cover a change.
        if (change.__typename === "SavedSearchReset" || change.__typename === "CursorExpired") {
          return end(() => resolve("reread"));
        }
        source.apply(change);
        onApplied(change);
        if (source.isLast?.(change)) end(() => resolve("over"));
      },
      error: (reason) => end(() => reject(reason)),
      complete: () => end(() => resolve("lost")),
    });
  });
}

const TEMPORARY = ["UNAVAILABLE", "OUTCOME_UNKNOWN", "TIMEOUT", "RATE_LIMITED", "INTERNAL"];
const REFUSED_SOCKETS = [4400, 4406, 4409, 4429];
const REFUSED_TOKENS = [4401, 4403];

/** Tells what retrying cannot change from what it can. Every library wraps the server's answer in its own way. */
function classify(reason: any): "temporary" | "unauthenticated" | "not found" | "refused" {
  const errors = Array.isArray(reason)
    ? reason
    : (reason?.graphQLErrors?.length && reason.graphQLErrors) || reason?.errors || reason?.source?.errors || [];
  const codes: unknown[] = errors.map((error: any) => error?.extensions?.code);
  const cause = reason?.networkError ?? reason?.cause ?? reason;
  const status = Number(reason?.statusCode ?? reason?.response?.status ?? cause?.statusCode);
  const close = Number(cause?.code ?? /with event (\d+)/.exec(cause?.message)?.[1]);
  if (codes.includes("UNAUTHENTICATED") || status === 401 || REFUSED_TOKENS.includes(close)) return "unauthenticated";
  if (codes.includes("NOT_FOUND")) return "not found";
  if (codes.length > 0) return codes.every((code) => TEMPORARY.includes(String(code))) ? "temporary" : "refused";
  if (REFUSED_SOCKETS.includes(close)) return "refused";
  return status >= 400 && status < 500 && status !== 408 && status !== 429 ? "refused" : "temporary";
}

/** Exponential backoff, half of it random, so that many clients do not return at the same moment. */
function pause(attempt: number, signal: AbortSignal): Promise<void> {
  const delay = (0.5 + Math.random() / 2) * Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt);
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, delay);
    signal.addEventListener("abort", done, { once: true });
  });
}
