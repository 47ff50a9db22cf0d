// The file systems of the images, put together from what is on this machine: Node, PostgreSQL from Debian's packages, versitygw.
import { access, chmod, copyFile, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { rootCertificates } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { binary } from '../binaries.ts';
import { run } from '../command.ts';
import { debianPackages } from '../debian.ts';
import { type Log, withProgress } from '../progress.ts';

async function put(root: string, file: string, text: string): Promise<void> {
  await mkdir(path.dirname(path.join(root, file)), { recursive: true });
  await writeFile(path.join(root, file), text);
}

async function copy(root: string, from: string, to = from): Promise<void> {
  await mkdir(path.dirname(path.join(root, to)), { recursive: true });
  await copyFile(from, path.join(root, to));
}

/** A user for containers that are not told another one, a place for temporary files and names from files and DNS. */
async function base(root: string, user: string, id: number, home: string): Promise<void> {
  await put(root, 'etc/passwd', `root:x:0:0:root:/root:/bin/false\n${user}:x:${id}:${id}::${home}:/bin/false\n`);
  await put(root, 'etc/group', `root:x:0:\n${user}:x:${id}:\n`);
  await put(root, 'etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n');
  await mkdir(path.join(root, 'tmp'), { recursive: true });
  await chmod(path.join(root, 'tmp'), 0o1777);
}

/** The Node that runs us, the libraries it is linked to, and the certificate authorities it trusts. Gives the libraries' files. */
export async function nodeRootfs(root: string): Promise<string[]> {
  if (process.platform !== 'linux') {
    throw new Error(
      `make an image with Node: this Node is for ${process.platform}, an image needs one for linux: build on Linux`,
    );
  }
  await base(root, 'nonroot', 65532, '/tmp');
  await copy(root, process.execPath, '/usr/local/bin/node');
  const linked = await run(['ldd', process.execPath]);
  const libraries = [...linked.matchAll(/(\/\S+) \(0x/g)].map(([, library = '']) => library);
  for (const library of libraries) await copy(root, library);
  await put(root, 'etc/ssl/certs/ca-certificates.crt', `${rootCertificates.join('\n')}\n`);
  return libraries;
}

const busybox = '/bin/busybox';

/** Adds a static busybox under the names the executor calls. Gives its file. */
export async function addShell(root: string, log: Log): Promise<string[]> {
  await debianPackages(['busybox-static'], log);
  await copy(root, busybox);
  for (const name of ['sh', 'mkfifo']) await symlink('busybox', path.join(root, 'bin', name));
  return [busybox];
}

const aptSources = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list'];

/** What the server, its tools and the dump's shell script run on. */
const packages = [
  ...['postgresql-15', 'libnss-wrapper', 'tzdata', 'libc-bin'],
  ...['dash', 'coreutils', 'findutils', 'grep', 'sed', 'mawk', 'gzip', 'util-linux'],
];

/** Nobody reads manuals in a test, perl and the compiler behind PostgreSQL's JIT are three quarters of the size. */
const trimmed = [
  ...['usr/share/!(postgresql|zoneinfo)', 'usr/libexec', 'usr/lib/!(postgresql|locale|ssl|*-linux-gnu)'],
  ...['usr/lib/*-linux-gnu/@(perl|perl-base|gconv|systemd|security)', 'usr/lib/*-linux-gnu/lib@(LLVM|perl|z3)*'],
  ...['usr/lib/postgresql/15/lib/@(bitcode|llvmjit*)', 'var/!(lib)', 'var/lib/*', 'usr/bin/perl*'],
  ...['etc/!(passwd|group|nsswitch.conf|ld.so.conf|ld.so.conf.d)', 'dev/*'],
];

/** PostgreSQL 15, server and tools, unpacked from Debian's packages without installing anything. */
export async function postgresRootfs(root: string, log: Log): Promise<void> {
  await debianPackages(['mmdebstrap'], log);
  const found = await Promise.all(
    aptSources.map((file) =>
      access(file).then(
        () => file,
        () => undefined,
      ),
    ),
  );
  const sources = found.find((file) => file !== undefined);
  if (sources === undefined) throw new Error(`unpack PostgreSQL 15: none of ${aptSources.join(', ')}: needs Debian 12`);
  const hooks = '/usr/share/mmdebstrap/hooks/merged-usr';
  const flags = ['--quiet', '--mode=root', '--variant=extract', '--format=directory', `--hook-dir=${hooks}`];
  const include = ['--aptopt=APT::Install-Recommends "false"', `--include=${packages.join(',')}`];
  const bootstrap = () => run(['mmdebstrap', ...flags, ...include, 'bookworm', root, sources]);
  await withProgress("unpacking PostgreSQL 15 from Debian's packages", log, bootstrap);
  const remove = trimmed.map((pattern) => `"$1"/${pattern}`).join(' ');
  await run(['bash', '-O', 'extglob', '-O', 'nullglob', '-c', `rm -rf ${remove}`, 'trim', root]);
  // What the packages' own installation scripts would have made.
  await base(root, 'postgres', 999, '/var/lib/postgresql');
  for (const [name, target] of [
    ['sh', 'dash'],
    ['awk', 'mawk'],
  ] as const) {
    await rm(path.join(root, 'usr/bin', name), { force: true });
    await symlink(target, path.join(root, 'usr/bin', name));
  }
  // Any user may run the server, so anyone may make the data directory and the socket.
  for (const directory of ['var/lib/postgresql', 'var/lib/postgresql/data', 'run/postgresql']) {
    await mkdir(path.join(root, directory), { recursive: true });
    await chmod(path.join(root, directory), 0o1777);
  }
  await symlink('/run', path.join(root, 'var/run'));
  const entrypoint = fileURLToPath(new URL('postgres/docker-entrypoint.sh', import.meta.url));
  await copy(root, entrypoint, '/usr/local/bin/docker-entrypoint.sh');
}

export async function versitygwRootfs(root: string, log: Log): Promise<void> {
  await base(root, 'nonroot', 65532, '/tmp');
  await copy(root, await binary('versitygw', log), '/versitygw');
  await mkdir(path.join(root, 'data'));
  await chmod(path.join(root, 'data'), 0o1777);
}

/** The names of all files below a directory, for a hash over them. */
export async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort();
}
