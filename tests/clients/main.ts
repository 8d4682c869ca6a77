// Runs one of the applications for the tests: follows something, and says what its cache holds each time a line comes in.
// URL, TOKEN and LIST are in the environment; the word after the program is the application's name.
import { createInterface } from "node:readline";
import WebSocket from "ws";

import * as apollo from "./apollo/list.js";
import { tasks } from "./apollo/tasks.js";
import { follow, type List } from "./following.js";
import { feed } from "./relay/feed.js";
import * as relay from "./relay/list.js";
import * as urql from "./urql/list.js";

// Browsers, and later versions of Node, have one of their own.
Object.assign(globalThis, { WebSocket });

const { URL: url = "", TOKEN: token = "", LIST: id = "" } = process.env;
const applications: Record<string, () => List<any> & { shown(): any }> = {
  apollo: () => apollo.list(apollo.connect(url, token), id),
  urql: () => urql.list(urql.connect(url, token), id),
  relay: () => relay.list(relay.connect(url, token), id),
  tasks: () => tasks(apollo.connect(url, token)),
  feed: () => feed(relay.connect(url, token)),
};

const made = applications[process.argv[2] ?? ""]!();
const enough = new AbortController();
const events: string[] = [];
const about = (frame: any) => frame.memberId ?? frame.taskId ?? frame.engagementId ?? "";
const note = (frame: any) => events.push(`${frame.__typename} ${about(frame)}`.trim());
const watched: List<any> = {
  read: () => (events.push("read"), made.read()),
  subscribe(after, sink) {
    events.push("subscribe");
    return made.subscribe(after, { ...sink, next: (frame) => (note(frame), sink.next(frame)) });
  },
  apply: (frame) => made.apply(frame),
};

const nodes = (found: any) => found.nodes ?? found.edges.map((edge: any) => edge.node);
const list = (saved: any) => {
  const shown = ({ id, email, cause }: any) => ({ id, subject: email.subject, cause: cause.kind });
  return { name: saved?.name ?? null, stays: saved ? nodes(saved.members).map(shown) : null };
};
const rows = (found: any) => ({
  rows: nodes(found).map(({ id, name, verdict }: any) => ({ id, told: name ?? verdict })),
});

const lines = createInterface({ input: process.stdin });
lines.on("close", () => process.exit(0));
lines.on("line", () => {
  const shown = made.shown();
  const found = shown?.tasks ?? shown?.engagements;
  const view = found ? rows(found) : list(shown?.savedSearch);
  console.log(JSON.stringify({ ...view, events: events.splice(0) }));
});

follow(watched, enough.signal).then(
  () => events.push("over"),
  (reason) => (console.error(String(reason)), process.exit(1)),
);
