// What recipients do, as it becomes known, in the store of Relay: the newest first.
import {
  ConnectionHandler,
  createOperationDescriptor,
  fetchQuery,
  getRequest,
  graphql,
  requestSubscription,
  type Environment,
  type RecordSourceSelectorProxy,
} from "relay-runtime";

import type { feedQuery } from "../__generated__/relay/feedQuery.graphql.js";
import type { feedRecordedSubscription } from "../__generated__/relay/feedRecordedSubscription.graphql.js";
import type { Sink, Source } from "../following.js";

type Change = Extract<feedRecordedSubscription["response"]["engagementFeed"], { cursor: string }>;

const FEED = graphql`
  query feedQuery {
    engagements(first: 20) @connection(key: "feed_engagements") {
      asOf
      edges {
        node {
          ...feed_event @relay(mask: false)
        }
      }
    }
  }
`;

graphql`
  fragment feed_event on Engagement {
    id
    kind
    verdict
    email {
      id
      subject
    }
  }
`;

const RECORDED = graphql`
  subscription feedRecordedSubscription($after: ChangeCursor) {
    engagementFeed(after: $after) {
      __typename
      ... on Change {
        cursor
      }
      ... on EngagementRecorded {
        engagementId
        engagement {
          ...feed_event @relay(mask: false)
        }
      }
    }
  }
`;

/** Puts a change into the store. Relay has updated an event that is already listed, such as one with a new verdict. */
function update(store: RecordSourceSelectorProxy) {
  const change = store.getRootField("engagementFeed");
  const events = ConnectionHandler.getConnection(store.getRoot(), "feed_engagements");
  if (change?.getType() !== "EngagementRecorded" || !events) return;
  const event = change.getLinkedRecord("engagement");
  if (!event) return ConnectionHandler.deleteNode(events, String(change.getValue("engagementId")));
  const known = events.getLinkedRecords("edges") ?? [];
  if (known.some((edge) => edge?.getLinkedRecord("node")?.getDataID() === event.getDataID())) return;
  ConnectionHandler.insertEdgeBefore(events, ConnectionHandler.createEdge(store, events, event, "EngagementEdge"));
}

export function feed(environment: Environment): Source<Change> & { shown(): feedQuery["response"] } {
  const operation = createOperationDescriptor(getRequest(FEED), {});
  environment.retain(operation);

  return {
    async read() {
      const data = await fetchQuery<feedQuery>(environment, FEED, {}, { fetchPolicy: "network-only" }).toPromise();
      return data?.engagements.asOf ?? null;
    },

    subscribe(after: string, sink: Sink<Change>) {
      const running = requestSubscription<feedRecordedSubscription>(environment, {
        subscription: RECORDED,
        variables: { after },
        updater: (store) => store && update(store),
        onNext: (data) => data && sink.next(data.engagementFeed as Change),
        onError: (reason) => sink.error(reason),
        onCompleted: () => sink.complete(),
      });
      return () => running.dispose();
    },

    apply() {}, // the updater above has done it

    shown: () => environment.lookup(operation.fragment).data as feedQuery["response"],
  };
}
