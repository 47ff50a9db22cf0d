// The certificates of one cluster: an authority of its own and what it signs. They live as long as the rig, in its
// directory, and expire by themselves a month later.

import { generateKeyPairSync } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { run } from '../command.ts';

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

interface Subject {
  readonly commonName: string;
  /** Kubernetes reads this as the user's group. */
  readonly organization?: string;
  /** What a server answers to; a client has none. */
  readonly names?: readonly string[];
}

const DAYS = '30';

export class Authority implements Certificate {
  readonly #directory: string;
  readonly cert: string;
  readonly key: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.cert = path.join(directory, 'ca.crt');
    this.key = path.join(directory, 'ca.key');
  }

  static async create(directory: string): Promise<Authority> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeFile(path.join(directory, 'openssl.cnf'), '[req]\ndistinguished_name = subject\n[subject]\n');
    const authority = new Authority(directory);
    const extensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,digitalSignature'];
    await authority.#request(authority, ['-subj', '/CN=dbbackup-rig'], extensions);
    return authority;
  }

  async sign(file: string, subject: Subject): Promise<Certificate> {
    const made = { cert: path.join(this.#directory, `${file}.crt`), key: path.join(this.#directory, `${file}.key`) };
    const group = subject.organization === undefined ? '' : `/O=${subject.organization}`;
    const usage = subject.names === undefined ? 'clientAuth' : 'serverAuth';
    const extensions = ['basicConstraints=critical,CA:FALSE', `extendedKeyUsage=${usage}`];
    if (subject.names !== undefined) extensions.push(`subjectAltName=${alternativeNames(subject.names)}`);
    const signer = ['-CA', this.cert, '-CAkey', this.key];
    await this.#request(made, [...signer, '-subj', `${group}/CN=${subject.commonName}`], extensions);
    return made;
  }

  async #request(made: Certificate, options: readonly string[], extensions: readonly string[]): Promise<void> {
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    await run([
      ...(['openssl', 'req', '-x509', '-days', DAYS, ...newKey, '-keyout', made.key, '-out', made.cert] as const),
      // The machine's own configuration would add extensions of its own, which differ from one to the next.
      ...['-config', path.join(this.#directory, 'openssl.cnf')],
      ...options,
      ...extensions.flatMap((extension) => ['-addext', extension]),
    ]);
  }
}

/** The key pair service account tokens are signed and checked with. */
export async function serviceAccountKey(directory: string): Promise<Certificate> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const made = {
    cert: path.join(directory, 'service-accounts.pub'),
    key: path.join(directory, 'service-accounts.key'),
  };
  await writeFile(made.key, privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
  await writeFile(made.cert, publicKey.export({ type: 'spki', format: 'pem' }));
  return made;
}

export function alternativeNames(names: readonly string[]): string {
  return names.map((name) => (/^[0-9.]+$/.test(name) ? `IP:${name}` : `DNS:${name}`)).join(',');
}
