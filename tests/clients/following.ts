// Keeps a list in some cache as the server has it: reads it, follows it, and goes on after whatever comes in between.
// Which cache, and which library talks to the server, is the caller's affair.

/** What every frame of a stream has. */
export interface Frame {
  readonly __typename: string;
  readonly cursor: string;
}

/** What a subscription tells. */
export interface Sink<F> {
  next(frame: F): void;
  error(reason: unknown): void;
  complete(): void;
}

/** One list in one cache. */
export interface List<F extends Frame> {
  /** Reads it into the cache. Answers its `asOf`, or null where there is no such list. */
  read(): Promise<string | null>;
  /** Subscribes with `after`, and answers how to stop. */
  subscribe(after: string, sink: Sink<F>): () => void;
  /** Puts a frame into the cache. The same frame twice does no harm. */
  apply(frame: F): void;
}

/** How a subscription ended: by a lost connection, with a need to read anew, or because the list is gone. */
type Ending = "lost" | "stale" | "gone";

const PAUSE = 300;

/** Follows until the list is gone or `signal` says that it is enough. Rejects when the server refuses. */
export async function follow<F extends Frame>(list: List<F>, signal: AbortSignal): Promise<void> {
  let cursor = await list.read();
  while (cursor !== null && !signal.aborted) {
    const { ending, last } = await once(list, cursor, signal);
    if (ending === "gone") return;
    // What is missing since the last frame comes with the next subscription, once the server is there again.
    cursor = ending === "lost" ? last : await patiently(() => list.read(), signal);
    if (ending === "lost") await pause(signal);
  }
}

/** One subscription, until it ends. `last` is the cursor of the last frame that was applied. */
function once<F extends Frame>(list: List<F>, after: string, signal: AbortSignal) {
  return new Promise<{ ending: Ending; last: string }>((resolve, reject) => {
    let last = after;
    const stop = list.subscribe(after, {
      next(frame) {
        if (frame.__typename === "SavedSearchReset" || frame.__typename === "CursorExpired") return end("stale");
        list.apply(frame);
        last = frame.cursor;
        if (frame.__typename === "SavedSearchDeleted") end("gone");
      },
      error: (reason) => (refused(reason) ? reject(reason) : end("lost")),
      complete: () => end("lost"),
    });
    const enough = () => end("lost");
    signal.addEventListener("abort", enough, { once: true });
    function end(ending: Ending) {
      signal.removeEventListener("abort", enough);
      resolve({ ending, last });
      // Not at once: the first frame may come while `subscribe` has not answered yet.
      queueMicrotask(() => stop());
    }
  });
}

/** Whether the server said no, which no patience changes; each library wraps that in its own way. */
function refused(reason: any): boolean {
  const said = Array.isArray(reason) ? reason : (reason?.graphQLErrors ?? reason?.errors ?? reason?.source?.errors);
  const cause = reason?.networkError ?? reason;
  const code = cause?.code ?? /with event (\d+)/.exec(cause?.message)?.[1];
  return said?.length > 0 || cause?.statusCode === 401 || [4400, 4401, 4403].includes(Number(code));
}

async function patiently(read: () => Promise<string | null>, signal: AbortSignal): Promise<string | null> {
  while (!signal.aborted) {
    try {
      return await read();
    } catch (reason) {
      if (refused(reason)) throw reason;
      await pause(signal);
    }
  }
  return null;
}

function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, PAUSE);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
