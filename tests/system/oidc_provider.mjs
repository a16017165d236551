// oidc_provider.mjs - sign-in services for test_oidc.py, on a loopback port of their own; the first line says where.
//   node oidc_provider.mjs real REDIRECT_URI ALG    the oidc-provider program, with its own pages for signing in
//   node oidc_provider.mjs oauth                    GitHub and Discord as their documentation has them, or as /control says
//   node oidc_provider.mjs double                   one that signs whatever POST /control tells it to
import crypto from "node:crypto";
import http from "node:http";
import { pathToFileURL } from "node:url";

const [kind, redirectUri, alg] = process.argv.slice(2);
const server = http.createServer();
server.listen(0, "127.0.0.1", () => serve(`http://127.0.0.1:${server.address().port}`));
process.stdin.resume().on("end", () => process.exit(0)); // the test has gone

async function serve(issuer) {
  server.on("request", kind === "real" ? await real(issuer) : kind === "oauth" ? oauth(issuer) : double(issuer));
  console.log(issuer);
}

async function real(issuer) {
  const { default: Provider } = await import(pathToFileURL(`${process.env.ATELIER_NODE_MODULES}/oidc-provider/lib/index.js`));
  const keys = [crypto.generateKeyPairSync("rsa", { modulusLength: 2048 }), crypto.generateKeyPairSync("ec", { namedCurve: "P-256" })];
  const provider = new Provider(issuer, {
    clients: [{ client_id: "atelier", client_secret: "a secret: with %20 & co", redirect_uris: [redirectUri], id_token_signed_response_alg: alg }],
    jwks: { keys: keys.map((pair) => ({ ...pair.privateKey.export({ format: "jwk" }), use: "sig" })) },
    cookies: { keys: ["test"] },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: id, email: `${id}@example.org`, email_verified: true }) }),
  });
  return provider.callback();
}

function oauth(issuer) {
  const plain = { user: {}, emails: undefined, token: {}, token_status: 200, user_status: 200, emails_status: 200, redirect: null, answer: {} };
  const people = {
    "/api/v3/user": { login: "octocat", id: 583231, node_id: "MDQ6VXNlcjE=", type: "User", site_admin: false, name: "Monalisa", email: "public@example.com", company: "@github" },
    "/api/v10/users/@me": { id: "80351110224678912", username: "nelly", discriminator: "0", global_name: "Nelly", verified: true, email: "nelly@example.org", locale: "de", mfa_enabled: true, flags: 64 },
  };
  const emails = [{ email: "old@example.com", primary: false, verified: true, visibility: null }, { email: "mona@example.org", primary: true, verified: true, visibility: "private" }];
  let control = { ...plain };
  const codes = new Map();
  const seen = { token: [], user: [], authorize: [] };

  return (req, res) => {
    const url = new URL(req.url, issuer);
    const json = (value, status = 200) => res.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
    const discord = url.pathname.startsWith("/api/oauth2/");
    let body = "";
    req.on("data", (data) => { body += data; });
    req.on("end", () => {
      if (url.pathname === "/control") {
        if (req.method === "POST") control = { ...plain, ...JSON.parse(body) };
        return json(seen);
      }
      if (control.redirect === url.pathname) return res.writeHead(302, { Location: `${issuer}/elsewhere` }).end();
      if (url.pathname.endsWith("/authorize")) {
        const code = crypto.randomBytes(10).toString("hex");
        seen.authorize.push(Object.fromEntries(url.searchParams));
        codes.set(code, { challenge: url.searchParams.get("code_challenge"), redirect: url.searchParams.get("redirect_uri") });
        const back = new URL(url.searchParams.get("redirect_uri"));
        for (const [name, value] of Object.entries({ code, state: url.searchParams.get("state"), ...(discord ? { iss: issuer } : {}), ...control.answer }))
          if (value !== null) back.searchParams.set(name, value);
        return res.writeHead(302, { Location: back.href }).end();
      }
      if (req.method === "POST" && (url.pathname === "/login/oauth/access_token" || url.pathname === "/api/oauth2/token")) {
        const form = new URLSearchParams(body);
        const known = codes.get(form.get("code"));
        codes.delete(form.get("code"));
        seen.token.push({ ...Object.fromEntries(form), accept: req.headers.accept });
        const challenge = crypto.createHash("sha256").update(form.get("code_verifier") ?? "").digest("base64url");
        const good = known && known.challenge === challenge && known.redirect === form.get("redirect_uri") && form.get("client_secret") === "a secret: with %20 & co";
        if (!good) return discord ? json({ error: "invalid_grant", error_description: 'Invalid "code" in request.' }, 400) : json({ error: "bad_verification_code", error_description: "The code passed is incorrect or expired." });
        if (control.token_status !== 200) return json({ message: "<b>boo</b>", code: 0 }, control.token_status);
        return json({ access_token: "gho_16C7e42F292c6912E7", scope: "read:user,user:email", token_type: discord ? "Bearer" : "bearer", ...control.token });
      }
      seen.user.push({ path: url.pathname, authorization: req.headers.authorization, agent: req.headers["user-agent"], accept: req.headers.accept });
      if (req.headers.authorization !== "Bearer gho_16C7e42F292c6912E7" || !req.headers["user-agent"]) return json({ message: "Bad credentials", status: "401" }, 401);
      if (url.pathname === "/api/v3/user/emails") return json(control.emails === undefined ? emails : control.emails, control.emails_status);
      if (people[url.pathname]) return json(Array.isArray(control.user) ? control.user : { ...people[url.pathname], ...control.user }, control.user_status);
      return json({ message: "Not Found" }, 404);
    });
  };
}

function double(issuer) {
  const pairs = Object.fromEntries(["a", "b"].map((kid) => [kid, crypto.generateKeyPairSync("rsa", { modulusLength: 2048 })]));
  const plain = { claims: {}, header: {}, key: "a", published: ["a"], discovery: {}, answer: {}, token_status: 200 };
  let control = { ...plain };
  const codes = new Map();
  const seen = { jwks: 0, discovery: 0, token: [] };
  const part = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

  function idToken(nonce) {
    const now = Math.floor(Date.now() / 1000);
    const header = { alg: "RS256", kid: control.key, typ: "JWT", ...control.header };
    const claims = { iss: issuer, aud: "atelier", sub: "ada-1", nonce, iat: now, exp: now + 300, email: "ada@example.org", ...control.claims };
    const text = `${part(header)}.${part(claims)}`;
    if (header.alg === "none") return `${text}.`;
    const spki = pairs[control.key].publicKey.export({ type: "spki", format: "pem" });
    if (header.alg === "HS256") return `${text}.${crypto.createHmac("sha256", spki).update(text).digest("base64url")}`;
    return `${text}.${crypto.sign("sha256", Buffer.from(text), pairs[control.key].privateKey).toString("base64url")}`;
  }

  return (req, res) => {
    const url = new URL(req.url, issuer);
    const json = (value, status = 200) => res.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
    let body = "";
    req.on("data", (data) => { body += data; });
    req.on("end", () => {
      if (url.pathname === "/control") {
        if (req.method === "POST") control = { ...plain, ...JSON.parse(body) };
        return json(seen);
      }
      if (url.pathname === "/.well-known/openid-configuration") {
        seen.discovery++;
        return json({ issuer, authorization_endpoint: `${issuer}/authorize?x=1`, token_endpoint: `${issuer}/token`, jwks_uri: `${issuer}/jwks`, authorization_response_iss_parameter_supported: true, ...control.discovery });
      }
      if (url.pathname === "/jwks") {
        seen.jwks++;
        return json({ keys: control.published.map((kid) => ({ ...pairs[kid].publicKey.export({ format: "jwk" }), kid, use: "sig", alg: "RS256" })) });
      }
      if (url.pathname === "/authorize") {
        const code = crypto.randomBytes(8).toString("hex");
        codes.set(code, { nonce: url.searchParams.get("nonce"), challenge: url.searchParams.get("code_challenge") });
        const back = new URL(url.searchParams.get("redirect_uri"));
        for (const [name, value] of Object.entries({ state: url.searchParams.get("state"), code, iss: issuer, ...control.answer }))
          if (value !== null) back.searchParams.set(name, value);
        return res.writeHead(302, { Location: back.href }).end();
      }
      if (url.pathname === "/token") {
        const form = new URLSearchParams(body);
        const known = codes.get(form.get("code"));
        codes.delete(form.get("code"));
        seen.token.push({ authorization: req.headers.authorization ?? null, ...Object.fromEntries(form) });
        const challenge = crypto.createHash("sha256").update(form.get("code_verifier") ?? "").digest("base64url");
        if (control.token_status !== 200) return json({ error: "server_error" }, control.token_status);
        if (!known || challenge !== known.challenge) return json({ error: "invalid_grant" }, 400);
        return json({ access_token: "t", token_type: "Bearer", id_token: idToken(known.nonce) });
      }
      return json({ error: "not found" }, 404);
    });
  };
}
