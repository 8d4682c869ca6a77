// A list that follows, in the cache of Apollo Client.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
import { createClient } from "graphql-ws";

import type { ChangesSubscription, ListQuery } from "../__generated__/gql/graphql.js";
import { CHANGES, LIST } from "../documents.js";
import type { List, Sink } from "../following.js";

type Change = ChangesSubscription["savedSearchChanges"];
type Stay = NonNullable<ListQuery["savedSearch"]>["members"]["nodes"][number];

/** Queries go by HTTP, subscriptions by a WebSocket whose token is in its first message. */
export function connect(url: string, token: string): ApolloClient {
  const authorization = `Bearer ${token}`;
  const socket = createClient({
    url: url.replace(/^http/, "ws"),
    connectionParams: { authorization },
    // A lost connection is taken up again from the last cursor: see following.ts.
    retryAttempts: 0,
  });
  return new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(socket),
      new HttpLink({ uri: url, headers: { authorization } }),
    ),
  });
}

export function list(client: ApolloClient, id: string): List<Change> & { shown(): ListQuery | null } {
  const variables = { id };

  function change(stays: (known: Stay[]) => Stay[]) {
    client.cache.updateQuery({ query: LIST, variables }, (data) => {
      if (!data?.savedSearch) return data ?? undefined;
      const { members } = data.savedSearch;
      return { savedSearch: { ...data.savedSearch, members: { ...members, nodes: stays(members.nodes) } } };
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
        fetchPolicy: "no-cache", // the cache is written below, frame by frame
      });
      const running = changes.subscribe({
        next: ({ data, error }) => (error ? sink.error(error) : data && sink.next(data.savedSearchChanges)),
        error: (reason) => sink.error(reason),
        complete: () => sink.complete(),
      });
      return () => running.unsubscribe();
    },

    apply(frame: Change) {
      switch (frame.__typename) {
        case "MemberJoined": {
          const { member } = frame;
          if (member) change((known) => (known.some((each) => each.id === member.id) ? known : [member, ...known]));
          break;
        }
        case "MemberLeft":
          change((known) => known.filter((each) => each.id !== frame.memberId));
          break;
        case "SavedSearchUpserted":
          client.cache.updateQuery({ query: LIST, variables }, (data) =>
            data?.savedSearch ? { savedSearch: { ...data.savedSearch, ...frame.savedSearch } } : undefined,
          );
          break;
        case "SavedSearchDeleted":
          client.cache.writeQuery({ query: LIST, variables, data: { savedSearch: null } });
      }
    },

    shown: () => client.cache.readQuery({ query: LIST, variables }),
  };
}
