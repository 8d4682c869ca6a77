// The viewer's open tasks, kept up to date in the cache of Apollo Client.
import type { ApolloClient } from "@apollo/client";

import type { TaskChangesSubscription, TasksQuery } from "../__generated__/gql/graphql.js";
import { TASK_CHANGES, TASKS } from "../documents.js";
import type { Sink, Source } from "../following.js";

type Change = TaskChangesSubscription["taskChanges"];
type Todo = TasksQuery["tasks"]["nodes"][number];

/** By due day; on the same day those of high priority first. */
const sooner = (one: Todo, other: Todo) =>
  one.dueOn.localeCompare(other.dueOn) || one.priority.localeCompare(other.priority);

export function tasks(client: ApolloClient): Source<Change> & { shown(): TasksQuery | null } {
  function update(todos: (others: Todo[]) => Todo[], id: string) {
    client.cache.updateQuery({ query: TASKS }, (data) => {
      const others = data?.tasks.nodes.filter((each) => each.id !== id) ?? [];
      return data ? { tasks: { ...data.tasks, nodes: todos(others) } } : undefined;
    });
  }

  return {
    async read() {
      const { data } = await client.query({ query: TASKS, fetchPolicy: "network-only" });
      return data?.tasks.asOf ?? null;
    },

    subscribe(after: string, sink: Sink<Change>) {
      const changes = client.subscribe({ query: TASK_CHANGES, variables: { after }, fetchPolicy: "no-cache" });
      const running = changes.subscribe({
        next: ({ data, error }) => (error ? sink.error(error) : data && sink.next(data.taskChanges)),
        error: (reason) => sink.error(reason),
        complete: () => sink.complete(),
      });
      return () => running.unsubscribe();
    },

    apply(change: Change) {
      if (change.__typename !== "TaskUpserted" && change.__typename !== "TaskDeleted") return;
      const task = change.__typename === "TaskUpserted" ? change.task : null;
      // A task that is complete or no longer visible is removed.
      update((others) => (task?.status === "OPEN" ? [...others, task].sort(sooner) : others), change.taskId);
    },

    shown: () => client.cache.readQuery({ query: TASKS }),
  };
}
