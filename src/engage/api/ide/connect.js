// How operations reach the server: with the token, over HTTP or a websocket, telling how each of them went.
"use strict";

const Connection = (() => {
  const ADDRESS = new URL(location.pathname, location.href);

  // What a token says of its bearer; null where it is none. The server alone verifies it.
  const claims = (token) => {
    try {
      const part = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
      const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
      return JSON.parse(new TextDecoder().decode(bytes));
    } catch {
      return null;
    }
  };

  // The operations of a document that say what kind they are, with their names.
  const operations = (query) => {
    const code = query.replace(/"""[^]*?"""|"(?:\\.|[^"\\\n])*"|#.*/g, "");
    const found = [];
    let depth = 0;
    for (const [word, kind, name] of code.matchAll(/[{}()]|\b(query|mutation|subscription)\b\s*(\w*)/g)) {
      if (word === "{" || word === "(") depth += 1;
      else if (word === "}" || word === ")") depth -= 1;
      else if (depth === 0) found.push({ kind, name });
    }
    return found;
  };

  const overHttp = async (operation, headers, told) => {
    const began = performance.now();
    try {
      const response = await fetch(ADDRESS, {
        method: "POST",
        headers: { Accept: "application/graphql-response+json", "Content-Type": "application/json", ...headers },
        body: JSON.stringify(operation),
      });
      const text = await response.text();
      const bytes = new TextEncoder().encode(text).length.toLocaleString();
      told(`${response.status} · ${Math.round(performance.now() - began)} ms · ${bytes} bytes`, response.ok);
      return JSON.parse(text);
    } catch (error) {
      if (error instanceof TypeError) told("no answer", false);
      throw error;
    }
  };

  // A socket for each subscription, so that each is by the token that it was begun with.
  const overSocket = (operation, headers, told) => {
    const address = new URL(ADDRESS);
    address.protocol = address.protocol.replace("http", "ws");
    const client = graphqlWs.createClient({ url: address.href, connectionParams: headers, retryAttempts: 0 });
    let frames = 0;
    const subscribe = (sink) => {
      told("websocket · waiting", true);
      const end = client.subscribe(operation, {
        next: (frame) => {
          frames += 1;
          told(`websocket · ${frames} ${frames === 1 ? "frame" : "frames"}`, true);
          sink.next(frame);
        },
        error: (error) => {
          told("websocket · ended", false);
          const closed = error instanceof CloseEvent;
          sink.error(closed ? { message: `The websocket was closed: ${error.code} ${error.reason}` } : error);
        },
        complete: () => {
          told(`websocket · complete after ${frames}`, true);
          sink.complete();
        },
      });
      return { unsubscribe: end };
    };
    return { subscribe };
  };

  // A fetcher for GraphiQL. `token()` answers the one to send; `told(text, good)` is told how it went.
  const fetcher = (token, told) => (operation, { headers = {} } = {}) => {
    // Read without a token, so that one that has expired does not take documentation and completion away.
    if (operation.operationName === "IntrospectionQuery") return overHttp(operation, {}, () => {});
    const own = token() ? { Authorization: `Bearer ${token()}` } : {};
    const given = Object.keys(headers).some((name) => name.toLowerCase() === "authorization");
    const sent = given ? headers : { ...own, ...headers };
    // What GraphiQL knows of the document lags behind what is typed, and so does the name that it gives.
    const found = operations(operation.query);
    const several = found.length > 1;
    const chosen = several ? found.find(({ name }) => name === operation.operationName) : found[0];
    const asked = several ? operation : { ...operation, operationName: undefined };
    return chosen?.kind === "subscription" ? overSocket(asked, sent, told) : overHttp(asked, sent, told);
  };

  return { claims, fetcher };
})();
