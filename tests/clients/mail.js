// Reads messages with three parsers: mailparser, postal-mime, and jsmime, the parser of Thunderbird, as Proton maintains
// it. A line of input is one message in base64; a line of output is what each of them read, as JSON.
import { register } from "node:module";
import { createInterface } from "node:readline";

import { simpleParser } from "mailparser";
import PostalMime from "postal-mime";

// jsmimeparser leaves the extensions of its own modules to a bundler.
const hook = `export const resolve = (name, context, next) =>
  next(/jsmimeparser/.test(context.parentURL) && /^\\./.test(name) && !/\\.js$/.test(name) ? name + ".js" : name, context)`;
register("data:text/javascript," + encodeURIComponent(hook));
const { parseMail } = await import("@protontech/jsmimeparser");
const { headerparser } = await import("@protontech/jsmimeparser/lib/jsmime.js");

const AS_IS = { skipHtmlToText: true, skipTextToHtml: true, skipTextLinks: true, skipImageLinks: true };

async function byMailparser(content) {
  const message = await simpleParser(content, AS_IS);
  const mailboxes = (field) => (field?.value ?? []).map(({ name, address }) => [name, address]);
  const { subject = "", messageId, date, text, html } = message;
  return {
    fields: message.headerLines.map(({ key }) => key),
    ...{ subject, messageId, date: date.toISOString(), text, html },
    ...{ from: mailboxes(message.from), to: mailboxes(message.to), cc: mailboxes(message.cc) },
  };
}

async function byPostalMime(content) {
  const message = await PostalMime.parse(content);
  const mailboxes = (found) => (found ?? []).map(({ name, address }) => [name, address]);
  const { subject = "", messageId, date } = message;
  // It keeps the line ends of mail, and adds one to some parts.
  const [text, html] = [message.text, message.html].map((part) => part.replaceAll("\r\n", "\n").replace(/\n+$/, "\n"));
  return {
    fields: message.headers.map(({ key }) => key),
    ...{ subject, messageId, date, text, html },
    ...{ from: mailboxes([message.from]), to: mailboxes(message.to), cc: mailboxes(message.cc) },
  };
}

function byJsmime(content) {
  const { headers, subject = "", date, body } = parseMail(new Uint8Array(content));
  // Its addresses are read once more: parseMail takes header fields in UTF-8 (RFC 6532) for those of Latin-1.
  const utf8 = (binary) => Buffer.from(binary, "latin1").toString("utf8");
  const mailboxes = (values) =>
    (values ?? []).flatMap((value) => headerparser.parseAddressingHeader(utf8(utf8(value)), true))
      .map(({ name, email }) => [name, email]);
  return {
    fields: Object.entries(headers).flatMap(([key, values]) => values.map(() => key)),
    ...{ subject, messageId: headers["message-id"]?.[0], date: date.toISOString(), text: body.text, html: body.html },
    ...{ from: mailboxes(headers.from), to: mailboxes(headers.to), cc: mailboxes(headers.cc) },
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  const content = Buffer.from(line, "base64");
  const found = { mailparser: await byMailparser(content), "postal-mime": await byPostalMime(content), jsmime: byJsmime(content) };
  console.log(JSON.stringify(found));
}
