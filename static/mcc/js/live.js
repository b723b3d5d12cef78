// The live socket: hx-ws swaps the fragments, this keeps the place in each stream so that a reconnect loses nothing.
// Envelopes: {"stream", "seq", "kind", "content"}; {"reset": true} means that the place is too old: load the page again.
// The kind "state" is no event but how things stand: its number is acknowledged, and is no place to go on from.
// To the server: {"stream": "issue:4", "ack": 17}, the last that arrived, after every so many messages, characters or ACK_MS.
import { toast } from './toasts.js';

const ACK_EVERY = 20, ACK_CHARACTERS = 65536, ACK_MS = 1000, PATIENCE_MS = 1500, URGENT_MS = 200, REFRESH_MS = 5000;
const root = document.documentElement;
const element = document.getElementById('live');
const seen = new Map();
let waitingShown = 0, socket = null, last = null, dirty = 0, characters = 0, ackTimer = 0, lostTimer = 0;

// Where the server's page left off: <div id="live" hx-ws:connect="/ws/?s=issue:4@17&s=company@3">.
const start = new URL(element?.getAttribute('hx-ws:connect') ?? '', location.href);
for (const place of start.searchParams.getAll('s')) {
  const at = place.lastIndexOf('@');
  seen.set(place.slice(0, at), Number(place.slice(at + 1)));
}

function url() {
  const query = [...seen].map(([stream, seq]) => `s=${encodeURIComponent(`${stream}@${seq}`)}`).join('&');
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws/?${query}`;
}

function ack() {
  clearTimeout(ackTimer);
  ackTimer = dirty = characters = 0;
  if (last && socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ stream: last.stream, ack: last.seq }));
}

function lost() {
  clearTimeout(lostTimer);
  lostTimer = setTimeout(() => { root.dataset.live = 'lost'; }, PATIENCE_MS);
}

document.addEventListener('htmx:ws:before:connection', ({ detail }) => { detail.connection.url = url(); });
document.addEventListener('htmx:ws:after:connection', ({ detail }) => {
  socket = detail.connection.socket;
  clearTimeout(lostTimer);
  root.dataset.live = 'on';
});
document.addEventListener('htmx:ws:close', ({ detail }) => {
  if (detail.reason !== 'closed') return;
  lost();
  if (detail.code === 4401 || detail.code === 4403) toast('Live updates stopped.', { label: 'Reload', act: () => location.reload() });
});

document.addEventListener('htmx:ws:before:message:incoming', (event) => {
  let envelope = null;
  try { envelope = JSON.parse(event.detail.message.data); } catch { return; }
  if (envelope.reset) { event.preventDefault(); location.reload(); return; }
  if (envelope.stream && envelope.kind !== 'state' && envelope.seq <= (seen.get(envelope.stream) ?? 0)) event.preventDefault(); // replayed twice
});

document.addEventListener('htmx:ws:after:message:incoming', ({ detail }) => {
  let envelope = null;
  try { envelope = JSON.parse(detail.message.data); } catch { return; }
  if (!envelope.stream) return;
  if (envelope.kind !== 'state') seen.set(envelope.stream, envelope.seq);
  last = envelope;
  dirty += 1;
  characters += detail.message.data.length;
  if (envelope.stream === 'company') refresh(envelope.kind === 'company' || envelope.kind === 'request');
  if (dirty >= ACK_EVERY || characters >= ACK_CHARACTERS) ack(); else ackTimer ||= setTimeout(ack, ACK_MS);
});

// What depends on who looks is not pushed: an element with an id and data-live-refresh="2000" asks for itself after news of
// the company (hx-get with hx-trigger="refresh"), once in so many milliseconds; a stop or a question hurries it.
const due = new Map();
function refresh(urgent) {
  for (const { id, dataset } of document.querySelectorAll('[data-live-refresh]')) {
    const delay_ms = urgent ? URGENT_MS : Number(dataset.liveRefresh) || REFRESH_MS;
    const planned = due.get(id);
    if (planned && planned.at <= Date.now() + delay_ms) continue;
    clearTimeout(planned?.timer);
    const timer = setTimeout(() => {
      due.delete(id);
      document.getElementById(id)?.dispatchEvent(new Event('refresh'));
    }, delay_ms);
    due.set(id, { at: Date.now() + delay_ms, timer });
  }
}

// The tab tells how many things wait for its owner, from the element that the server keeps up to date.
const plainTitle = document.title.replace(/^\(\d+\) /, '');
function title() {
  const waiting = Number(document.getElementById('needs-you-count')?.dataset.count ?? 0);
  if (waiting === waitingShown) return;
  waitingShown = waiting;
  document.title = waiting ? `(${waiting}) ${plainTitle}` : plainTitle;
}
title();
document.addEventListener('htmx:after:swap', title);
