// All lists of the viewer, kept up to date in the cache of Apollo Client by a single subscription: a sidebar.
import type { ApolloClient } from "@apollo/client";

import type { AllChangesSubscription, ListsQuery } from "../__generated__/gql/graphql.js";
import { ALL_CHANGES, LISTS } from "../documents.js";
import type { Sink, Source } from "../following.js";

type Change = AllChangesSubscription["allSavedSearchChanges"];
type List = ListsQuery["savedSearches"]["nodes"][number];

export function lists(client: ApolloClient): Source<Change> & { shown(): ListsQuery | null } {
  function update(change: (known: List[]) => List[]) {
    client.cache.updateQuery({ query: LISTS }, (data) =>
      data ? { savedSearches: { ...data.savedSearches, nodes: change(data.savedSearches.nodes) } } : undefined,
    );
  }

  const updateOne = (id: string, change: (list: List) => List) =>
    update((known) => known.map((list) => (list.id === id ? change(list) : list)));

  return {
    async read() {
      const pages: ListsQuery["savedSearches"][] = [];
      for (let after: string | null | undefined; ; after = pages.at(-1)!.pageInfo.endCursor) {
        const { data } = await client.query({ query: LISTS, variables: { after }, fetchPolicy: "no-cache" });
        pages.push(data!.savedSearches);
        if (!data!.savedSearches.pageInfo.hasNextPage) break;
      }
      // The first page was read at the earliest moment: what happened since then follows.
      const first = pages[0]!;
      const nodes = pages.flatMap((page) => page.nodes);
      client.cache.writeQuery({ query: LISTS, data: { savedSearches: { ...first, nodes } } });
      return first.asOf;
    },

    subscribe(after: string, sink: Sink<Change>) {
      const changes = client.subscribe({ query: ALL_CHANGES, variables: { after }, fetchPolicy: "no-cache" });
      const running = changes.subscribe({
        next: ({ data, error }) => (error ? sink.error(error) : data && sink.next(data.allSavedSearchChanges)),
        error: (reason) => sink.error(reason),
        complete: () => sink.complete(),
      });
      return () => running.unsubscribe();
    },

    apply(change: Change) {
      switch (change.__typename) {
        case "MemberJoined": {
          const { member } = change;
          if (!member) break;
          updateOne(change.savedSearchId, (list) => {
            const others = list.members.nodes.filter((each) => each.id !== member.id);
            return { ...list, members: { ...list.members, nodes: [member, ...others] } };
          });
          break;
        }
        case "MemberLeft":
          updateOne(change.savedSearchId, (list) => {
            const nodes = list.members.nodes.filter((each) => each.id !== change.memberId);
            return { ...list, members: { ...list.members, nodes } };
          });
          break;
        case "SavedSearchUpserted":
          // A list that is new here is read after the Reset that follows its first evaluation.
          updateOne(change.savedSearchId, (list) => ({ ...list, ...change.savedSearch }));
          break;
        case "SavedSearchDeleted":
          update((known) => known.filter((list) => list.id !== change.savedSearchId));
      }
    },

    shown: () => client.cache.readQuery({ query: LISTS }),
  };
}
