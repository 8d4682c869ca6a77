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
import type { List, Sink } from "../following.js";

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

/** Puts a frame into the store. An event that comes again, with another verdict, is in its place already. */
function update(store: RecordSourceSelectorProxy) {
  const frame = store.getRootField("engagementFeed");
  const events = ConnectionHandler.getConnection(store.getRoot(), "feed_engagements");
  if (frame?.getType() !== "EngagementRecorded" || !events) return;
  const event = frame.getLinkedRecord("engagement");
  if (!event) return ConnectionHandler.deleteNode(events, String(frame.getValue("engagementId")));
  const known = events.getLinkedRecords("edges") ?? [];
  if (known.some((edge) => edge?.getLinkedRecord("node")?.getDataID() === event.getDataID())) return;
  ConnectionHandler.insertEdgeBefore(events, ConnectionHandler.createEdge(store, events, event, "EngagementEdge"));
}

export function feed(environment: Environment): List<Change> & { shown(): feedQuery["response"] } {
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

    apply() {}, // done by the updater, above

    shown: () => environment.lookup(operation.fragment).data as feedQuery["response"],
  };
}
