// A list that follows, in the store of Relay: a connection, and an updater that keeps it.
import { createClient } from "graphql-ws";
import {
  ConnectionHandler,
  Environment,
  Network,
  Observable,
  RecordSource,
  Store,
  createOperationDescriptor,
  fetchQuery,
  getRequest,
  graphql,
  requestSubscription,
  type GraphQLResponse,
  type RecordSourceSelectorProxy,
} from "relay-runtime";

import type { listChangesSubscription } from "../__generated__/relay/listChangesSubscription.graphql.js";
import type { listQuery } from "../__generated__/relay/listQuery.graphql.js";
import type { List, Sink } from "../following.js";

type Change = Extract<listChangesSubscription["response"]["savedSearchChanges"], { cursor: string }>;

const LIST = graphql`
  query listQuery($id: ID!) {
    savedSearch(id: $id) {
      id
      name
      state
      members(first: 50) @connection(key: "list_members") {
        asOf
        edges {
          node {
            ...list_stay @relay(mask: false)
          }
        }
      }
    }
  }
`;

graphql`
  fragment list_stay on SavedSearchMember {
    id
    joinedAt
    cause {
      kind
    }
    email {
      id
      subject
    }
  }
`;

const CHANGES = graphql`
  subscription listChangesSubscription($id: ID!, $after: ChangeCursor) {
    savedSearchChanges(savedSearchId: $id, after: $after) {
      __typename
      ... on Change {
        cursor
      }
      ... on MemberJoined {
        memberId
        member {
          ...list_stay @relay(mask: false)
        }
      }
      ... on MemberLeft {
        memberId
      }
      ... on SavedSearchUpserted {
        savedSearch {
          name
          state
        }
      }
    }
  }
`;

/** Queries go by HTTP, subscriptions by a WebSocket whose token is in its first message. */
export function connect(url: string, token: string): Environment {
  const authorization = `Bearer ${token}`;
  const socket = createClient({
    url: url.replace(/^http/, "ws"),
    connectionParams: { authorization },
    // A lost connection is taken up again from the last cursor: see following.ts.
    retryAttempts: 0,
  });
  const network = Network.create(
    async ({ text: query }, variables) => {
      const headers = { authorization, "content-type": "application/json" };
      const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
      return (await answer.json()) as GraphQLResponse;
    },
    ({ text, name: operationName }, variables) =>
      Observable.create<GraphQLResponse>((sink) =>
        socket.subscribe(
          { query: text ?? "", operationName, variables },
          { next: (value) => sink.next(value as GraphQLResponse), error: sink.error, complete: sink.complete },
        ),
      ),
  );
  return new Environment({ network, store: new Store(new RecordSource()) });
}

/** Puts a frame into the store; its own fields, such as a list's new name, are there already. */
function update(store: RecordSourceSelectorProxy, id: string) {
  const frame = store.getRootField("savedSearchChanges");
  const saved = store.get(id);
  const members = saved && ConnectionHandler.getConnection(saved, "list_members");
  if (!frame || !members) return;
  switch (frame.getType()) {
    case "MemberJoined": {
      const member = frame.getLinkedRecord("member");
      const known = members.getLinkedRecords("edges") ?? [];
      if (!member || known.some((edge) => edge?.getLinkedRecord("node")?.getDataID() === member.getDataID())) return;
      const edge = ConnectionHandler.createEdge(store, members, member, "SavedSearchMemberEdge");
      ConnectionHandler.insertEdgeBefore(members, edge);
      break;
    }
    case "MemberLeft":
      ConnectionHandler.deleteNode(members, String(frame.getValue("memberId")));
      break;
    case "SavedSearchDeleted":
      store.delete(id);
  }
}

export function list(environment: Environment, id: string): List<Change> & { shown(): listQuery["response"] } {
  const operation = createOperationDescriptor(getRequest(LIST), { id });
  environment.retain(operation); // as long as the screen shows it, nothing of it is collected

  return {
    async read() {
      const data = await fetchQuery<listQuery>(environment, LIST, { id }, { fetchPolicy: "network-only" }).toPromise();
      return data?.savedSearch?.members.asOf ?? null;
    },

    subscribe(after: string, sink: Sink<Change>) {
      const running = requestSubscription<listChangesSubscription>(environment, {
        subscription: CHANGES,
        variables: { id, after },
        updater: (store) => store && update(store, id),
        onNext: (data) => data && sink.next(data.savedSearchChanges as Change),
        onError: (reason) => sink.error(reason),
        onCompleted: () => sink.complete(),
      });
      return () => running.dispose();
    },

    apply() {}, // done by the updater, above

    shown: () => environment.lookup(operation.fragment).data as listQuery["response"],
  };
}
