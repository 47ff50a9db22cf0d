// Runs one TypeScript file of this project: `node test/rig/run.mjs <script.ts> [args]`. Plain JavaScript without a dependency, because it is
// what makes a fresh clone work: any Node from 20 on starts it, it installs what package-lock.json names, and goes on under the Node 24 in there.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const bin = join(root, 'node_modules', '.bin');
const node = join(bin, 'node');
const stamp = join(root, 'node_modules', '.dbbackup-lock');
const wantedMajor = 24;

/** An error whose message is the whole story: printed without a stack. */
class Refusal extends Error {}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** npm's own record of node_modules agrees with the lockfile: then there is nothing to install, whoever ran npm. */
function installed(lockText) {
  const recordText = read(join(root, 'node_modules', '.package-lock.json'));
  if (recordText === undefined) return false;
  const { '': _project, ...wanted } = JSON.parse(lockText).packages;
  const found = JSON.parse(recordText).packages;
  const agrees = ([path, entry]) =>
    // An optional package is left out on the platforms it is not for.
    found[path] === undefined ? entry.optional === true : found[path].integrity === entry.integrity;
  return Object.entries(wanted).every(agrees) && Object.keys(found).every((path) => wanted[path] !== undefined);
}

/** Ends with the child's exit code (128 + n after signal n) and hands it the signals that are meant for it. */
function run(command, args, env = process.env) {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { cwd: root, env, stdio: 'inherit' });
    // A terminal's Ctrl-C reaches the whole process group by itself; sent twice it would read as "stop at once".
    const onInterrupt = () => process.stdin.isTTY || child.kill('SIGINT');
    const onTerminate = () => child.kill('SIGTERM');
    const onHangup = () => child.kill('SIGHUP');
    process.on('SIGINT', onInterrupt).on('SIGTERM', onTerminate).on('SIGHUP', onHangup);
    child.on('error', (cause) => fail(new Refusal(`cannot start ${command}: ${cause.message}`)));
    child.on('exit', (code, signal) => {
      process.off('SIGINT', onInterrupt).off('SIGTERM', onTerminate).off('SIGHUP', onHangup);
      const numbers = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };
      done(code ?? 128 + (numbers[signal] ?? 0));
    });
  });
}

async function install(lockText) {
  const hash = createHash('sha256').update(lockText).digest('hex');
  if (read(stamp) === hash) return;
  if (!installed(lockText)) {
    const started = Date.now();
    const seconds = () => Math.round((Date.now() - started) / 1000);
    console.error('[setup] installing the packages of package-lock.json (npm ci), about a minute the first time');
    const beat = setInterval(() => console.error(`[setup] npm ci, ${seconds()} s`), 10_000);
    // Under npm, npm_execpath is the program that called us; typed by hand it is the npm of the PATH.
    const npm = process.env.npm_execpath;
    // Packages that want a newer Node than the one that starts us run under the one in here: warnings about it would mislead.
    const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
    const code = await (npm?.endsWith('.js') ? run(process.execPath, [npm, ...args]) : run('npm', args));
    clearInterval(beat);
    if (code !== 0)
      throw new Refusal(`npm ci failed with exit code ${code}: its message is above; mend that and run again`);
    console.error(`[setup] packages installed, ${seconds()} s`);
  }
  writeFileSync(stamp, hash);
}

/** The Node that came with the packages; a missing one means that npm was not allowed to run that package's install script. */
async function checkNode() {
  const found = await new Promise((done) => {
    let text = '';
    const child = spawn(node, ['-v'], { stdio: ['ignore', 'pipe', 'ignore'] });
    child.stdout.on('data', (part) => {
      text += part;
    });
    child.on('error', () => done('none'));
    child.on('close', () => done(text.trim() || 'none'));
  });
  if (Number(/^v(\d+)\./.exec(found)?.[1]) === wantedMajor) return;
  throw new Refusal(
    `node_modules/.bin/node is ${found}, Node ${wantedMajor} is needed: the "node" package fetches it in its install script. ` +
      'If npm is set to skip scripts, run: npm config delete ignore-scripts && rm -r node_modules && npm ci',
  );
}

async function main([script, ...args]) {
  if (script === undefined) throw new Refusal('no script named: node test/rig/run.mjs <script.ts> [args]');
  if (Number(process.versions.node.split('.')[0]) < 20) {
    throw new Refusal(`this is Node ${process.versions.node}: install Node 20 or newer to start from`);
  }
  const lockText = read(join(root, 'package-lock.json'));
  if (lockText === undefined) throw new Refusal('package-lock.json is missing: git checkout package-lock.json');
  await install(lockText);
  await checkNode();
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}` };
  return run(node, [resolve(root, script), ...args], env);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Refusal ? `[setup] ${error.message}` : error);
  process.exitCode = 1;
}
