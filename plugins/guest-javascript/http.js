// Requests over HTTP, of a consumer or a checkback handler that asks for the capability "http", and for each host.
//
//     export const batchConsumer = consumer({ hosts: ["hooks.example.com"], … });
//     const answer = send({ method: "POST", url, headers: { "content-type": "application/json" }, body: JSON.stringify(alert) });
//
// A request is not part of what a call commits: a call that is made again, after a crash too, sends it again. Give the receiver a
// key by which it knows a repeat; topic, partition and offset of a row stay the same.

import http from "millstream:plugin/http@0.2.0";
import { decode } from "./batch.js";
import { encode } from "./message.js";

const SAID = { "timed-out": "no answer in time", "too-large": "the request or its answer is too large" };

/** What `send` throws where nothing came back. `kind` is "denied", "invalid", "unreachable", "timed-out" or "too-large"; what is
 * unreachable or timed out may be there later. */
export class RequestError extends Error {
    constructor(kind, why) {
        super(why);
        this.kind = kind;
    }
}

/** Sends a request and waits for the whole answer, of any status: `status`; `headers`, a list of `{ name, value }` with names in
 * lower case, and `header(name)`, the first of a name or null; `body`, a Uint8Array, and `text()`. The request's body is a text or
 * a Uint8Array. It takes as long as the call may, or `timeoutMs`. Redirections are not followed. */
export function send({ url, method = "GET", headers = {}, body = "", timeoutMs = 0 }) {
    const sent = Object.entries(headers).map(([name, value]) => ({ name, value: String(value) }));
    const bytes = typeof body === "string" ? encode(body) : body;
    const answer = told(() => http.send({ method, url, headers: sent, body: bytes, timeoutMs }));
    return {
        ...answer,
        header: (wanted) => answer.headers.find(({ name }) => name === wanted)?.value ?? null,
        text: () => decode(answer.body),
    };
}

/** The contract's errors carry a text, or none. */
function told(run) {
    try {
        return run();
    } catch (error) {
        const kind = error?.payload?.tag;
        throw kind === undefined ? error : new RequestError(kind, SAID[kind] ?? error.payload.val);
    }
}
