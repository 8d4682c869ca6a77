// Runs one of the applications for the tests: follows a list, and says what its cache holds each time a line comes in.
// URL, TOKEN and LIST are in the environment; the word after the program is the application's name.
import { createInterface } from "node:readline";
import WebSocket from "ws";

import * as apollo from "./apollo/list.js";
import { follow, type List } from "./following.js";
import * as relay from "./relay/list.js";
import * as urql from "./urql/list.js";

// Browsers, and later versions of Node, have one of their own.
Object.assign(globalThis, { WebSocket });

const { URL: url = "", TOKEN: token = "", LIST: id = "" } = process.env;
const applications: Record<string, () => List<any> & { shown(): any }> = {
  apollo: () => apollo.list(apollo.connect(url, token), id),
  urql: () => urql.list(urql.connect(url, token), id),
  relay: () => relay.list(relay.connect(url, token), id),
};

const made = applications[process.argv[2] ?? ""]!();
const enough = new AbortController();
const events: string[] = [];
const note = (frame: any) => events.push(`${frame.__typename} ${frame.memberId ?? ""}`.trim());
const watched: List<any> = {
  read: () => (events.push("read"), made.read()),
  subscribe(after, sink) {
    events.push("subscribe");
    return made.subscribe(after, { ...sink, next: (frame) => (note(frame), sink.next(frame)) });
  },
  apply: (frame) => made.apply(frame),
};

const lines = createInterface({ input: process.stdin });
lines.on("close", () => process.exit(0));
lines.on("line", () => {
  const saved = made.shown()?.savedSearch ?? null;
  const nodes = saved?.members.nodes ?? saved?.members.edges.map((edge: any) => edge.node) ?? null;
  const stays = nodes?.map((node: any) => ({ id: node.id, subject: node.email.subject, cause: node.cause.kind }));
  console.log(JSON.stringify({ name: saved?.name ?? null, stays: stays ?? null, events: events.splice(0) }));
});

follow(watched, enough.signal).then(
  () => events.push("over"),
  (reason) => (console.error(String(reason)), process.exit(1)),
);
