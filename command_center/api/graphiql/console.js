// Signs the page in, then starts GraphiQL on it. The token comes in the fragment of the URL, which browsers never send.
// It is stored for this browser tab only, and sent to the page's own origin only.
"use strict";

(() => {
  const ENDPOINT = "/graphql";
  const TOKEN = "command-center:token";
  const PLACE = "command-center:graphiql:";

  function takeTokenFromAddress() {
    const fragment = new URLSearchParams(location.hash.slice(1));
    const token = fragment.get("token");
    if (token === null) return;
    fragment.delete("token");
    const rest = fragment.toString();
    // First, the token is removed from the address bar and the history, so that nobody copies it along with the URL.
    history.replaceState(null, "", location.pathname + location.search + (rest ? `#${rest}` : ""));
    if (token.trim()) sessionStorage.setItem(TOKEN, token.trim());
  }

  function signIn(token) {
    sessionStorage.setItem(TOKEN, token);
    location.reload();
  }

  function signOut() {
    sessionStorage.removeItem(TOKEN);
    // A reload closes every socket that was opened with the token.
    location.reload();
  }

  // Other pages on the same host may have a GraphiQL too, so the keys of this one have a prefix of their own.
  const storage = {
    get length() {
      return keys().length;
    },
    getItem: (key) => localStorage.getItem(PLACE + key),
    setItem: (key, value) => localStorage.setItem(PLACE + key, value),
    removeItem: (key) => localStorage.removeItem(PLACE + key),
    clear: () => keys().forEach((key) => localStorage.removeItem(key)),
  };

  function keys() {
    return Object.keys(localStorage).filter((key) => key.startsWith(PLACE));
  }

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function showBar(...content) {
    const bar = document.getElementById("session");
    bar.replaceChildren(element("h1", { textContent: "Command Center" }), ...content);
  }

  function showSignIn(problem) {
    const field = element("input", {
      type: "password",
      name: "token",
      placeholder: "Paste a token",
      autocomplete: "off",
      required: true,
      ariaLabel: "Token",
    });
    const form = element("form", {}, field, element("button", { type: "submit", textContent: "Sign in" }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const token = field.value.trim().replace(/^bearer\s+/i, "");
      if (token) signIn(token);
    });
    const say = problem || "Not signed in. `command-center token ADDRESS` prints a token.";
    showBar(element("span", { className: problem ? "problem" : "", textContent: say, role: "status" }), form);
  }

  function showViewer(name) {
    const leave = element("button", { type: "button", textContent: "Sign out" });
    leave.addEventListener("click", signOut);
    showBar(
      element("div", { className: "who" }, element("span", { textContent: `Signed in as ${name}`, role: "status" }), leave),
    );
  }

  async function showWhoIsIn(headers) {
    try {
      const response = await fetch(ENDPOINT, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify({ query: "{ viewer { name } }" }),
      });
      const answer = await response.json();
      if (answer.data && answer.data.viewer) return showViewer(answer.data.viewer.name);
      const errors = answer.errors || [{ message: `The server answered ${response.status}.` }];
      showSignIn(`This token was refused: ${errors[0].message}`);
    } catch {
      showSignIn("The server did not answer. Load the page again, or sign in anew.");
    }
  }

  function start(headers) {
    const socket = new URL(ENDPOINT, location.href);
    socket.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const settings = {
      fetcher: GraphiQL.createFetcher({
        url: ENDPOINT,
        headers,
        subscriptionUrl: socket.href,
        wsConnectionParams: headers,
        enableIncrementalDelivery: false,
      }),
      defaultTabs: OPERATIONS.map((query) => ({ query, variables: "", headers: "" })),
      plugins: [GraphiQLPluginExplorer.explorerPlugin()],
      storage,
      defaultEditorToolsVisibility: false,
      inputValueDeprecation: true,
      schemaDescription: true,
      isHeadersEditorEnabled: true,
      shouldPersistHeaders: false,
    };
    // Without a token GraphiQL could not load the schema, and would show an error.
    if (!headers.authorization) settings.schema = null;
    ReactDOM.createRoot(document.getElementById("graphiql")).render(React.createElement(GraphiQL, settings));
  }

  // Wraps long lines. GraphiQL has no setting for it, and creates its editors when they are first shown.
  function wrapLines() {
    for (const { CodeMirror: editor } of document.querySelectorAll("#graphiql .CodeMirror")) {
      if (editor && !editor.getOption("lineWrapping")) editor.setOption("lineWrapping", true);
    }
  }

  new MutationObserver(wrapLines).observe(document.getElementById("graphiql"), { childList: true, subtree: true });

  takeTokenFromAddress();
  // A link with another token, opened in the tab that shows the page, changes the fragment only.
  addEventListener("hashchange", () => {
    const before = sessionStorage.getItem(TOKEN);
    takeTokenFromAddress();
    if (sessionStorage.getItem(TOKEN) !== before) location.reload();
  });

  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  if (token) {
    showBar();
    showWhoIsIn(headers);
  } else {
    showSignIn();
  }
  start(headers);
})();
