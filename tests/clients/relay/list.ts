// A list kept up to date in the store of Relay: a connection, and an updater for its changes.
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
import { authorized, type GetToken, type Sink, type Source } from "../following.js";

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
            ...list_member @relay(mask: false)
          }
        }
      }
    }
  }
`;

graphql`
  fragment list_member on SavedSearchMember {
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
          ...list_member @relay(mask: false)
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
export function connect(url: string, token: GetToken): Environment {
  const socket = createClient({
    url: url.replace(/^http/, "ws"),
    connectionParams: async () => ({ authorization: `Bearer ${await token()}` }),
    // following.ts connects again, from the last cursor.
    retryAttempts: 0,
  });
  const network = Network.create(
    async ({ text: query }, variables) => {
      const headers = { "content-type": "application/json", accept: "application/graphql-response+json" };
      const body = JSON.stringify({ query, variables });
      const response = await authorized(token)(url, { method: "POST", headers, body });
      return (await response.json()) as GraphQLResponse;
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

/** Puts a change into the store; Relay has written its own fields, such as a list's new name. */
function update(store: RecordSourceSelectorProxy, id: string) {
  const change = store.getRootField("savedSearchChanges");
  const saved = store.get(id);
  const members = saved && ConnectionHandler.getConnection(saved, "list_members");
  if (!change || !members) return;
  switch (change.getType()) {
    case "MemberJoined": {
      const member = change.getLinkedRecord("member");
      const known = members.getLinkedRecords("edges") ?? [];
      if (!member || known.some((edge) => edge?.getLinkedRecord("node")?.getDataID() === member.getDataID())) return;
      const edge = ConnectionHandler.createEdge(store, members, member, "SavedSearchMemberEdge");
      ConnectionHandler.insertEdgeBefore(members, edge);
      break;
    }
    case "MemberLeft":
      ConnectionHandler.deleteNode(members, String(change.getValue("memberId")));
      break;
    case "SavedSearchDeleted":
      store.delete(id);
  }
}

export function list(environment: Environment, id: string): Source<Change> & { shown(): listQuery["response"] } {
  const operation = createOperationDescriptor(getRequest(LIST), { id });
  environment.retain(operation); // the store keeps it while the screen shows it

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

    apply() {}, // the updater above has done it

    isLast: ({ __typename }: { __typename?: string }) => __typename === "SavedSearchDeleted",

    shown: () => environment.lookup(operation.fragment).data as listQuery["response"],
  };
}
