// The folder counts, kept up to date in the cache of Apollo Client. Every message is the whole state, so there is no
// cursor: after a lost connection the first message repairs everything.
import type { ApolloClient } from "@apollo/client";

import type { FolderCountsSubscription, FoldersQuery } from "../__generated__/gql/graphql.js";
import { FOLDER_COUNTS, FOLDERS } from "../documents.js";
import type { Sink, Source } from "../following.js";

type Counts = FolderCountsSubscription["folderCounts"];

export function folders(client: ApolloClient): Source<Counts & { cursor?: string }> & { shown(): FoldersQuery | null } {
  return {
    async read() {
      await client.query({ query: FOLDERS, fetchPolicy: "network-only" });
      return "";
    },

    subscribe(_after: string, sink: Sink<Counts>) {
      const running = client.subscribe({ query: FOLDER_COUNTS }).subscribe({
        next: ({ data, error }) => (error ? sink.error(error) : data && sink.next(data.folderCounts)),
        error: (reason) => sink.error(reason),
        complete: () => sink.complete(),
      });
      return () => running.unsubscribe();
    },

    apply() {}, // the cache has done it: folders and groups have ids

    shown: () => client.cache.readQuery({ query: FOLDERS }),
  };
}
