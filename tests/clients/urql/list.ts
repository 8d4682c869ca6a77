// A list that follows, in the normalised cache of urql. In a React application the same comes from "urql".
import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { cacheExchange, type Cache, type CacheExchangeOpts } from "@urql/exchange-graphcache";
import { createClient } from "graphql-ws";
import { onEnd, pipe, subscribe } from "wonka";

import type { ChangesSubscription, ListQuery } from "../__generated__/gql/graphql.js";
import schema from "../__generated__/schema.json" with { type: "json" };
import { CHANGES, LIST } from "../documents.js";
import type { List, Sink } from "../following.js";

type Change = ChangesSubscription["savedSearchChanges"];
type Stay = NonNullable<ListQuery["savedSearch"]>["members"]["nodes"][number];

/** Queries go by HTTP, subscriptions by a WebSocket whose token is in its first message. */
export function connect(url: string, token: string): Client {
  const authorization = `Bearer ${token}`;
  const socket = createClient({
    url: url.replace(/^http/, "ws"),
    connectionParams: { authorization },
    // A lost connection is taken up again from the last cursor: see following.ts.
    retryAttempts: 0,
  });
  return new Client({
    url,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization } },
    exchanges: [
      cacheExchange({
        schema: schema as CacheExchangeOpts["schema"], // it says which types are a Change
        // What has no id of its own is kept where it stands.
        keys: { SavedSearchMemberConnection: () => null, ChangeCause: () => null, ...frames },
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

const frames = Object.fromEntries(
  ["MemberJoined", "MemberLeft", "SavedSearchUpserted", "SavedSearchReset", "SavedSearchDeleted"]
    .concat("CaughtUp", "CursorExpired")
    .map((name) => [name, () => null]),
);

/** Puts a frame into the cache; its own fields, such as a list's new name, are there already. */
function apply(cache: Cache, id: string, frame: Change) {
  function change(stays: (known: Stay[]) => Stay[]) {
    cache.updateQuery({ query: LIST, variables: { id } }, (data) => {
      if (!data?.savedSearch) return data;
      const { members } = data.savedSearch;
      return { ...data, savedSearch: { ...data.savedSearch, members: { ...members, nodes: stays(members.nodes) } } };
    });
  }
  switch (frame.__typename) {
    case "MemberJoined": {
      const { member } = frame;
      if (member) change((known) => (known.some((each) => each.id === member.id) ? known : [member, ...known]));
      break;
    }
    case "MemberLeft":
      change((known) => known.filter((each) => each.id !== frame.memberId));
      break;
    case "SavedSearchDeleted":
      cache.invalidate({ __typename: "SavedSearch", id });
  }
}

export function list(client: Client, id: string): List<Change> & { shown(): ListQuery | null } {
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

    apply() {}, // done by the cache, above

    shown: () => client.readQuery(LIST, variables)?.data ?? null,
  };
}
