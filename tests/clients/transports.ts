// Each official client speaks to the server in its own way, unchanged, and the audit of GraphQL over HTTP runs whole.
// URL and TOKEN are in the environment. Each finding is a line of JSON: what was tried, whether it holds, and what came.
import { ApolloClient, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { Client as Urql, fetchExchange } from "@urql/core";
import { serverAudits } from "graphql-http";
import * as sse from "graphql-sse";
import * as ws from "graphql-ws";
import { meros } from "meros/browser";
import { pipe, subscribe, take, toPromise } from "wonka";
import WebSocket from "ws";

import { feed } from "./relay/feed.js";
import * as relay from "./relay/list.js";

// Browsers, and later versions of Node, have one of their own.
Object.assign(globalThis, { WebSocket });

// urql ends a stream by aborting its fetch, and leaves what that throws to nobody.
process.on("unhandledRejection", (reason: any) => {
  if (reason?.name !== "AbortError") throw reason;
});

const { URL: url = "", TOKEN: token = "" } = process.env;
const authorization = `Bearer ${token}`;
const WHO = "{ viewer { name } }";
const MAKE = "mutation Make($name: String!) { groupCreate(name: $name) { group { name } } }";
const FOLLOW = "subscription Follow { allSavedSearchChanges { __typename } }";
const WRONG = "{ nothing }";
const SAVE = 'mutation { savedSearchCreate(input: { name: "Live", filter: {} }) { savedSearch { id } } }';
// Well below the heartbeat of 12 s, behind which a message that waits for the next one would arrive.
const LIVE_MS = 3_000;

function report(name: string, holds: boolean, came?: unknown) {
  console.log(JSON.stringify({ name, holds, came: came === undefined ? null : String(came) }));
}

/** Tries one thing; `wanted` is what has to come, as JSON. */
async function tries(name: string, work: () => Promise<unknown>, wanted: unknown) {
  try {
    const came = JSON.stringify(await work());
    report(name, came === JSON.stringify(wanted), came);
  } catch (reason) {
    report(name, false, reason);
  }
}

async function audit() {
  const fetchFn: typeof fetch = (input, init) => {
    const headers = new Headers(init?.headers);
    headers.set("authorization", authorization);
    return fetch(input, { ...init, headers });
  };
  for (const each of serverAudits({ url, fetchFn })) {
    const found = await each.fn();
    const why = "reason" in found ? found.reason : undefined;
    report(`graphql-http ${each.id} ${each.name}`, found.status === "ok", why);
  }
}

/** The first frame of a subscription, or the first thing that came in its place. */
function first<T>(start: (sink: { next(value: T): void; error(reason: unknown): void; complete(): void }) => () => void) {
  return new Promise<T>((resolve, reject) => {
    const stop = start({
      next: (value) => (resolve(value), queueMicrotask(() => stop())),
      error: (reason) => reject(reason),
      complete: () => reject(new Error("completed without a frame")),
    });
  });
}

/** Whether a live message arrives without another one after it: `start` subscribes and tells of each message's type. */
async function receivesLive(name: string, start: (received: (type: string) => void) => () => void) {
  const types: string[] = [];
  let wake = () => {};
  const stop = start((type) => (types.push(type), wake()));
  const until = (type: string, ms: number) =>
    new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${type} within ${ms} ms, only ${types}`)), ms);
      wake = () => types.includes(type) && (clearTimeout(timer), resolve());
      wake();
    });
  await tries(
    `${name} receives a live message`,
    async () => {
      await until("CaughtUp", 4 * LIVE_MS);
      await fetch(url, {
        method: "POST",
        headers: { authorization, "content-type": "application/json" },
        body: JSON.stringify({ query: SAVE }),
      });
      await until("SavedSearchUpserted", LIVE_MS);
      return types.slice(0, 2); // the list may have been evaluated meanwhile, which is a message of its own
    },
    ["CaughtUp", "SavedSearchUpserted"],
  );
  stop();
}

const typeOf = (result: any) => result.data.allSavedSearchChanges.__typename;

const viewer = { viewer: { name: "Ann" } };
const made = (name: string) => ({ groupCreate: { group: { name } } });
const caughtUp = { allSavedSearchChanges: { __typename: "CaughtUp" } };

async function graphqlWs() {
  const address = url.replace(/^http/, "ws");
  const client = ws.createClient({
    url: address,
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
    retryAttempts: 0,
    lazy: false,
  });
  const ask = (query: string, variables?: Record<string, unknown>) =>
    first<any>((sink) => client.subscribe({ query, variables }, sink));
  await tries("graphql-ws query", async () => (await ask(WHO)).data, viewer);
  await tries("graphql-ws mutation", async () => (await ask(MAKE, { name: "ws" })).data, made("ws"));
  await tries("graphql-ws subscription", async () => (await ask(FOLLOW)).data, caughtUp);
  await tries(
    "graphql-ws mistake, and the socket lives",
    async () => [await ask(WRONG).catch((errors) => errors[0].extensions.code), (await ask(WHO)).data],
    ["GRAPHQL_VALIDATION_FAILED", viewer],
  );
  await receivesLive("graphql-ws", (received) =>
    client.subscribe({ query: FOLLOW }, { next: (result) => received(typeOf(result)), error() {}, complete() {} }),
  );
  await client.dispose();
  const stranger = ws.createClient({ url: address, webSocketImpl: WebSocket, retryAttempts: 0 });
  await tries(
    "graphql-ws without a token",
    () => first((sink) => stranger.subscribe({ query: WHO }, sink)).catch((event) => event.code),
    4403,
  );
}

async function graphqlSse() {
  const client = sse.createClient({ url, headers: { authorization }, retryAttempts: 0 });
  const ask = (query: string, variables?: Record<string, unknown>) =>
    first<any>((sink) => client.subscribe({ query, variables }, sink));
  await tries("graphql-sse query", async () => (await ask(WHO)).data, viewer);
  await tries("graphql-sse mutation", async () => (await ask(MAKE, { name: "sse" })).data, made("sse"));
  await tries("graphql-sse subscription", async () => (await ask(FOLLOW)).data, caughtUp);
  await tries(
    "graphql-sse mistake",
    async () => (await ask(WRONG)).errors[0].extensions.code,
    "GRAPHQL_VALIDATION_FAILED",
  );
  await receivesLive("graphql-sse", (received) =>
    client.subscribe({ query: FOLLOW }, { next: (result) => received(typeOf(result)), error() {}, complete() {} }),
  );
  client.dispose();
}

async function urql() {
  const client = new Urql({
    url,
    preferGetMethod: false,
    fetchSubscriptions: true,
    fetchOptions: { headers: { authorization } },
    exchanges: [fetchExchange],
  });
  await tries("urql query", async () => (await client.query(WHO, {}).toPromise()).data, viewer);
  await tries(
    "urql query by its address",
    async () => (await client.query(WHO, {}, { preferGetMethod: "force", requestPolicy: "network-only" }).toPromise()).data,
    viewer,
  );
  await tries(
    "urql mutation",
    async () => (await client.mutation(MAKE, { name: "urql" }).toPromise()).data,
    made("urql"),
  );
  await tries(
    "urql subscription by events",
    async () => (await pipe(client.subscription(FOLLOW, {}), take(1), toPromise)).data,
    caughtUp,
  );
  await tries(
    "urql mistake",
    async () => (await client.query(WRONG, {}).toPromise()).error?.graphQLErrors[0]?.extensions.code,
    "GRAPHQL_VALIDATION_FAILED",
  );
  await receivesLive("urql", (received) => {
    const running = pipe(
      client.subscription(FOLLOW, {}),
      subscribe((result) => received(typeOf(result))),
    );
    return () => running.unsubscribe();
  });
}

async function apollo() {
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: new HttpLink({ uri: url, headers: { authorization } }),
  });
  await tries("Apollo Client query", async () => (await client.query<any>({ query: gql(WHO) })).data.viewer.name, "Ann");
  await tries(
    "Apollo Client mutation",
    async () =>
      (await client.mutate<any>({ mutation: gql(MAKE), variables: { name: "apollo" } })).data.groupCreate.group.name,
    "apollo",
  );
  await tries(
    "Apollo Client subscription by parts",
    async () =>
      (
        await first<any>((sink) => {
          const running = client.subscribe({ query: gql(FOLLOW), fetchPolicy: "no-cache" }).subscribe(sink);
          return () => running.unsubscribe();
        })
      ).data,
    caughtUp,
  );
  await tries(
    "Apollo Client mistake",
    async () => client.query({ query: gql(WRONG) }).catch((reason) => reason.errors[0].extensions.code),
    "GRAPHQL_VALIDATION_FAILED",
  );
  await receivesLive("Apollo Client", (received) => {
    const running = client
      .subscribe({ query: gql(FOLLOW), fetchPolicy: "no-cache" })
      .subscribe((result) => received(typeOf(result)));
    return () => running.unsubscribe();
  });
}

/** As Yoga's, GraphiQL's and many hand-written fetchers read a multipart body. */
async function merosReader() {
  const enough = new AbortController();
  await receivesLive("meros", (received) => {
    const read = async () => {
      const response = await fetch(url, {
        method: "POST",
        headers: {
          authorization,
          "content-type": "application/json",
          accept: "multipart/mixed;subscriptionSpec=1.0, application/json",
        },
        body: JSON.stringify({ query: FOLLOW }),
        signal: enough.signal,
      });
      const parts = await meros<any>(response);
      if (parts instanceof Response) throw new Error(`not multipart: ${parts.headers.get("content-type")}`);
      for await (const part of parts) if (part.json && part.body.payload) received(typeOf(part.body.payload));
    };
    read().catch(() => {});
    return () => enough.abort();
  });
}

async function relayRuntime() {
  const events = feed(relay.connect(url, async () => token));
  await tries(
    "Relay query and subscription",
    async () => {
      const after = (await events.read()) ?? "";
      return (await first<any>((sink) => events.subscribe(after, sink))).__typename;
    },
    "CaughtUp",
  );
}

await audit();
await graphqlWs();
await graphqlSse();
await urql();
await apollo();
await merosReader();
await relayRuntime();
process.exit(0);
