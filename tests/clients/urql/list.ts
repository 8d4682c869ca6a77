// A list kept up to date in the normalised cache of urql. A React application imports the same from "urql".
import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { cacheExchange, type Cache, type CacheExchangeOpts } from "@urql/exchange-graphcache";
import { createClient } from "graphql-ws";
import { onEnd, pipe, subscribe } from "wonka";

import type { ChangesSubscription, ListQuery } from "../__generated__/gql/graphql.js";
import schema from "../__generated__/schema.json" with { type: "json" };
import { CHANGES, LIST } from "../documents.js";
import { authorized, type GetToken, type Sink, type Source } from "../following.js";

type Change = ChangesSubscription["savedSearchChanges"];
type Member = NonNullable<ListQuery["savedSearch"]>["members"]["nodes"][number];

/** Queries go by HTTP, subscriptions by a WebSocket whose token is in its first message. */
export function connect(url: string, token: GetToken): Client {
  const socket = createClient({
    url: url.replace(/^http/, "ws"),
    connectionParams: async () => ({ authorization: `Bearer ${await token()}` }),
    // following.ts connects again, from the last cursor.
    retryAttempts: 0,
  });
  return new Client({
    url,
    preferGetMethod: false,
    fetch: authorized(token),
    exchanges: [
      cacheExchange({
        schema: schema as CacheExchangeOpts["schema"], // tells which types are a Change
        // Objects without an id are stored inside their parents.
        keys: { SavedSearchMemberConnection: () => null, ChangeCause: () => null, ...messages },
        updates: {
          Subscription: {
            savedSearchChanges: (data, { savedSearchId }, cache) =>
              apply(cache, String(savedSearchId), (data as ChangesSubscription).savedSearchChanges),
          },
        },
      }),
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = "", variables }) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
        }),
      }),
    ],
  });
}

const messages = Object.fromEntries(
  ["MemberJoined", "MemberLeft", "SavedSearchUpserted", "SavedSearchReset", "SavedSearchDeleted"]
    .concat("CaughtUp", "CursorExpired")
    .map((name) => [name, () => null]),
);

/** Puts a change into the cache; graphcache has written its own fields, such as a list's new name. */
function apply(cache: Cache, id: string, change: Change) {
  function update(replace: (known: Member[]) => Member[]) {
    cache.updateQuery({ query: LIST, variables: { id } }, (data) => {
      if (!data?.savedSearch) return data;
      const { members } = data.savedSearch;
      return { ...data, savedSearch: { ...data.savedSearch, members: { ...members, nodes: replace(members.nodes) } } };
    });
  }
  switch (change.__typename) {
    case "MemberJoined": {
      const { member } = change;
      if (member) update((known) => (known.some((each) => each.id === member.id) ? known : [member, ...known]));
      break;
    }
    case "MemberLeft":
      update((known) => known.filter((each) => each.id !== change.memberId));
      break;
    case "SavedSearchDeleted":
      cache.invalidate({ __typename: "SavedSearch", id });
  }
}

export function list(client: Client, id: string): Source<Change> & { shown(): ListQuery | null } {
  const variables = { id };
  return {
    async read() {
      const { data, error } = await client.query(LIST, variables, { requestPolicy: "network-only" });
      if (error) throw error;
      return data?.savedSearch?.members.asOf ?? null;
    },

    subscribe(after: string, sink: Sink<Change>) {
      const running = pipe(
        client.subscription(CHANGES, { id, after }),
        onEnd(() => sink.complete()),
        subscribe(({ data, error }) => {
          if (error) sink.error(error);
          else if (data) sink.next(data.savedSearchChanges);
        }),
      );
      return () => running.unsubscribe();
    },

    apply() {}, // the cache's `updates` above have done it

    isLast: (change) => change.__typename === "SavedSearchDeleted",

    shown: () => client.readQuery(LIST, variables)?.data ?? null,
  };
}
