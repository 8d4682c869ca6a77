// A list kept up to date in the cache of Apollo Client.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
import { createClient } from "graphql-ws";

import type { ChangesSubscription, ListQuery } from "../__generated__/gql/graphql.js";
import { CHANGES, LIST } from "../documents.js";
import { authorized, type GetToken, type Sink, type Source } from "../following.js";

type Change = ChangesSubscription["savedSearchChanges"];
type Member = NonNullable<ListQuery["savedSearch"]>["members"]["nodes"][number];

/** Queries go by HTTP, subscriptions by a WebSocket whose token is in its first message. */
export function connect(url: string, token: GetToken): ApolloClient {
  const socket = createClient({
    url: url.replace(/^http/, "ws"),
    connectionParams: async () => ({ authorization: `Bearer ${await token()}` }),
    // following.ts connects again, from the last cursor.
    retryAttempts: 0,
  });
  return new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(socket),
      new HttpLink({ uri: url, fetch: authorized(token) }),
    ),
  });
}

export function list(client: ApolloClient, id: string): Source<Change> & { shown(): ListQuery | null } {
  const variables = { id };

  function update(change: (known: Member[]) => Member[]) {
    client.cache.updateQuery({ query: LIST, variables }, (data) => {
      if (!data?.savedSearch) return data ?? undefined;
      const { members } = data.savedSearch;
      return { savedSearch: { ...data.savedSearch, members: { ...members, nodes: change(members.nodes) } } };
    });
  }

  return {
    async read() {
      const { data } = await client.query({ query: LIST, variables, fetchPolicy: "network-only" });
      return data?.savedSearch?.members.asOf ?? null;
    },

    subscribe(after: string, sink: Sink<Change>) {
      const changes = client.subscribe({
        query: CHANGES,
        variables: { id, after },
        fetchPolicy: "no-cache", // `apply` writes to the cache
      });
      const running = changes.subscribe({
        next: ({ data, error }) => (error ? sink.error(error) : data && sink.next(data.savedSearchChanges)),
        error: (reason) => sink.error(reason),
        complete: () => sink.complete(),
      });
      return () => running.unsubscribe();
    },

    apply(change: Change) {
      switch (change.__typename) {
        case "MemberJoined": {
          const { member } = change;
          if (member) update((known) => (known.some((each) => each.id === member.id) ? known : [member, ...known]));
          break;
        }
        case "MemberLeft":
          update((known) => known.filter((each) => each.id !== change.memberId));
          break;
        case "SavedSearchUpserted":
          client.cache.updateQuery({ query: LIST, variables }, (data) =>
            data?.savedSearch ? { savedSearch: { ...data.savedSearch, ...change.savedSearch } } : undefined,
          );
          break;
        case "SavedSearchDeleted":
          client.cache.writeQuery({ query: LIST, variables, data: { savedSearch: null } });
      }
    },

    isLast: (change) => change.__typename === "SavedSearchDeleted",

    shown: () => client.cache.readQuery({ query: LIST, variables }),
  };
}
