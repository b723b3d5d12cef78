// Carries bytes between 127.0.0.1:PORT and a unix socket. Runs inside the sandbox, on any Node.
const fs = require('fs');
const net = require('net');

const [path, port] = process.argv.slice(2);
const door = net.createServer({ allowHalfOpen: true }, (near) => {
  const far = net.connect({ path, allowHalfOpen: true });
  const drop = () => { near.destroy(); far.destroy(); };
  near.on('error', drop).pipe(far);
  far.on('error', drop).pipe(near);
});
door.listen(Number(port), '127.0.0.1', () => {
  fs.writeSync(1, 'listening');
  fs.closeSync(1); // and let nothing else take its number: libuv would not have it
  fs.openSync('/dev/null', 'w');
});
