// Starts GraphiQL with engage's bar above it. The token is kept for this tab alone, until it is closed.
"use strict";

(() => {
  const KEY = "engage.token";
  const WELCOME = `# Paste a token above: make dev prints one for each role.
#
#   Ctrl-Enter  runs the operation at the cursor
#   Ctrl-Space  completes what is being written
#   Ctrl-click  shows the description of a word
#
# On the left: documentation, what has run, and an
# explorer that writes operations for you.

query Programs {
  programs {
    code
    name
    moneyCurrency
  }
}
`;

  const token = document.getElementById("token");
  const bearer = document.getElementById("bearer");
  const answer = document.getElementById("answer");

  const showBearer = () => {
    const text = token.value;
    const claims = Connection.claims(text);
    const isKey = text.startsWith("engage_");
    const expired = claims !== null && claims.exp * 1000 < Date.now();
    bearer.className = text && !isKey && (claims === null || expired) ? "bad" : "";
    if (!text) bearer.textContent = "no token";
    else if (isKey) bearer.textContent = "API key";
    else if (claims === null) bearer.textContent = "not a token";
    else if (expired) bearer.textContent = `${claims.role} · expired`;
    else bearer.textContent = `${claims.role} · ${claims.sub} · until ${new Date(claims.exp * 1000).toLocaleString()}`;
  };

  token.value = sessionStorage.getItem(KEY) ?? "";
  token.addEventListener("input", () => {
    token.value = token.value.trim().replace(/^Bearer\s+/i, "");
    sessionStorage.setItem(KEY, token.value);
    showBearer();
  });
  showBearer();

  const told = (text, good) => {
    answer.textContent = text;
    answer.className = good ? "good" : "bad";
  };
  const fetcher = Connection.fetcher(() => token.value, told);

  const Page = () => {
    const [query, setQuery] = React.useState(undefined);
    const explorer = GraphiQLPluginExplorer.useExplorerPlugin({
      query,
      onEdit: setQuery,
      showAttribution: false,
    });
    return React.createElement(GraphiQL, {
      fetcher,
      query,
      onEditQuery: setQuery,
      plugins: [explorer],
      defaultQuery: WELCOME,
      defaultEditorToolsVisibility: true,
      inputValueDeprecation: true,
      schemaDescription: true,
    });
  };
  ReactDOM.render(React.createElement(Page), document.getElementById("graphiql"));
})();
