// Runs one of the applications for the tests: keeps something up to date, and prints its cache for each line of input.
// URL, TOKEN_FILE and LIST are in the environment; the argument is the application's name.
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import WebSocket from "ws";

import { folders } from "./apollo/folders.js";
import * as apollo from "./apollo/list.js";
import { lists } from "./apollo/lists.js";
import { tasks } from "./apollo/tasks.js";
import { follow, type Source } from "./following.js";
import { feed } from "./relay/feed.js";
import * as relay from "./relay/list.js";
import * as urql from "./urql/list.js";

// Browsers, and later versions of Node, have one of their own.
Object.assign(globalThis, { WebSocket });

const { URL: url = "", TOKEN_FILE: tokenFile = "", LIST: id = "" } = process.env;
const token = async () => (await readFile(tokenFile, "utf8")).trim();
const applications: Record<string, () => Source<any> & { shown(): any }> = {
  apollo: () => apollo.list(apollo.connect(url, token), id),
  urql: () => urql.list(urql.connect(url, token), id),
  relay: () => relay.list(relay.connect(url, token), id),
  lists: () => lists(apollo.connect(url, token)),
  folders: () => folders(apollo.connect(url, token)),
  tasks: () => tasks(apollo.connect(url, token)),
  feed: () => feed(relay.connect(url, token)),
};

const made = applications[process.argv[2] ?? ""]!();
const enough = new AbortController();
const events: string[] = [];
const about = (change: any) => change.memberId ?? change.taskId ?? change.engagementId ?? "";
const note = (change: any) => events.push(`${change.__typename} ${about(change)}`.trim());
const watched: Source<any> = {
  read: () => (events.push("read"), made.read()),
  subscribe(after, sink) {
    events.push("subscribe");
    return made.subscribe(after, { ...sink, next: (change) => (note(change), sink.next(change)) });
  },
  apply: (change) => made.apply(change),
  isLast: (change) => made.isLast?.(change) ?? false,
};

const nodes = (found: any) => found.nodes ?? found.edges.map((edge: any) => edge.node);
const member = ({ id, email, cause }: any) => ({ id, subject: email.subject, cause: cause.kind });
const list = (saved: any) => ({
  name: saved?.name ?? null,
  stays: saved ? nodes(saved.members).map(member) : null,
});
const rows = (found: any) => ({
  rows: nodes(found).map(({ id, name, verdict }: any) => ({ id, told: name ?? verdict })),
});
const counts = (groups: any[]) => ({
  counts: groups.flatMap((group) => [group, ...group.folders]).map(({ name, emailCount }) => [name, emailCount]),
});

function view(shown: any) {
  if (shown?.savedSearches) return { lists: nodes(shown.savedSearches).map(list) };
  if (shown?.folders) return counts(shown.folders);
  const found = shown?.tasks ?? shown?.engagements;
  return found ? rows(found) : list(shown?.savedSearch);
}

const lines = createInterface({ input: process.stdin });
lines.on("close", () => process.exit(0));
lines.on("line", () => console.log(JSON.stringify({ ...view(made.shown()), events: events.splice(0) })));

follow(watched, enough.signal).then(
  () => events.push("over"),
  (reason) => (console.error(String(reason)), process.exit(1)),
);
