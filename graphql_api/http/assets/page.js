// Joins GraphiQL to this server: the token of the bar above goes with every request, subscriptions come as
// server-sent events. Nothing is asked of any other host.
"use strict";

(() => {
  const KEPT = "racksalt-token";
  const EXAMPLE = `# Everything needs a token: paste one above.
{
  revision
  nodes(first: 20, orderBy: {field: STATE_SINCE, direction: DESC}) {
    totalCount
    nodes { name state stateSince reason rack { name } power { state } }
  }
}
`;

  const isSubscription = (params, ast) =>
    (ast?.definitions ?? []).some(
      (one) =>
        one.kind === "OperationDefinition" &&
        one.operation === "subscription" &&
        (!params.operationName || one.name?.value === params.operationName),
    );

  const ask = (params, options, accept, signal) => {
    const headers = new Headers({
      "content-type": "application/json",
      accept,
      authorization: `Bearer ${sessionStorage.getItem(KEPT) ?? ""}`,
    });
    // Those of the editor's own pane come last, and replace: however they are spelt, no header is sent twice.
    for (const [name, value] of Object.entries(options?.headers ?? {})) headers.set(name, value);
    return fetch("/graphql", { method: "POST", signal, headers, body: JSON.stringify(params) });
  };

  async function* follow(params, options) {
    const stop = new AbortController();
    try {
      const response = await ask(params, options, "text/event-stream", stop.signal);
      if (!response.headers.get("content-type")?.startsWith("text/event-stream")) {
        yield await response.json();
        return;
      }
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        text += value;
        const events = text.split("\n\n");
        text = events.pop();
        for (const event of events) {
          if (/^event: complete$/m.test(event)) return;
          const data = /^data: (.*)$/m.exec(event);
          if (data) yield JSON.parse(data[1]);
        }
      }
    } finally {
      stop.abort();
    }
  }

  const fetcher = (params, options) =>
    isSubscription(params, options?.documentAST)
      ? follow(params, options)
      : ask(params, options, "application/graphql-response+json").then((it) => it.json());

  const root = ReactDOM.createRoot(document.getElementById("graphiql"));
  let turn = 0;
  // A new key makes GraphiQL start over, and so ask for the schema with the new token.
  const render = () =>
    root.render(
      React.createElement(GraphiQL, {
        key: ++turn,
        fetcher,
        defaultQuery: EXAMPLE,
        shouldPersistHeaders: false,
      }),
    );

  const input = document.getElementById("token");
  input.value = sessionStorage.getItem(KEPT) ?? "";
  document.getElementById("access").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEPT, input.value.trim());
    render();
  });
  render();
})();
