// The tasks that are still to be done, in the cache of Apollo Client.
import type { ApolloClient } from "@apollo/client";

import type { TaskChangesSubscription, TasksQuery } from "../__generated__/gql/graphql.js";
import { TASK_CHANGES, TASKS } from "../documents.js";
import type { List, Sink } from "../following.js";

type Change = TaskChangesSubscription["taskChanges"];
type Todo = TasksQuery["tasks"]["nodes"][number];

/** The soonest due first, and of one day the urgent ones before the others. */
const sooner = (one: Todo, other: Todo) =>
  one.dueOn.localeCompare(other.dueOn) || one.priority.localeCompare(other.priority);

export function tasks(client: ApolloClient): List<Change> & { shown(): TasksQuery | null } {
  function change(todos: (others: Todo[]) => Todo[], id: string) {
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

    apply(frame: Change) {
      if (frame.__typename !== "TaskUpserted" && frame.__typename !== "TaskDeleted") return;
      const task = frame.__typename === "TaskUpserted" ? frame.task : null;
      // One that is done, or given to somebody else and out of sight, is no longer to be done.
      change((others) => (task?.status === "OPEN" ? [...others, task].sort(sooner) : others), frame.taskId);
    },

    shown: () => client.cache.readQuery({ query: TASKS }),
  };
}
