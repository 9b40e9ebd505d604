// A browser and its push service, as far as secrets go: makes subscriptions, reads pushes, checks signatures.
// One JSON object a line on standard input, one answer a line on standard output.
"use strict";

const crypto = require("node:crypto");
const readline = require("node:readline");
const ece = require("http_ece");

const subscriptions = new Map();

function subscribe({ name }) {
  const pair = crypto.createECDH("prime256v1");
  const auth = crypto.randomBytes(16);
  subscriptions.set(name, { pair, auth });
  return { p256dh: pair.generateKeys("base64url"), auth: auth.toString("base64url") };
}

function read({ name, body }) {
  const { pair, auth } = subscriptions.get(name);
  const plain = ece.decrypt(Buffer.from(body, "base64"), { version: "aes128gcm", privateKey: pair, authSecret: auth });
  return { text: plain.toString("utf8") };
}

function verify({ token, key }) {
  const point = Buffer.from(key, "base64url");
  const jwk = {
    kty: "EC",
    crv: "P-256",
    x: point.subarray(1, 33).toString("base64url"),
    y: point.subarray(33).toString("base64url"),
  };
  const [header, claims, signature] = token.split(".");
  const good = crypto.verify(
    "sha256",
    Buffer.from(`${header}.${claims}`),
    { key: crypto.createPublicKey({ key: jwk, format: "jwk" }), dsaEncoding: "ieee-p1363" },
    Buffer.from(signature, "base64url"),
  );
  const parsed = (part) => JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
  return { good, bytes: point.length, header: parsed(header), claims: parsed(claims) };
}

const acts = { subscribe, read, verify };

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const asked = JSON.parse(line);
  let answer;
  try {
    answer = acts[asked.act](asked);
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
});
