// A certificate that somebody else keeps, cert-manager for one: read from files, and again when they change. The kubelet replaces both
// at once, but whoever reads one after the other may see the old of one and the new of the other.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface CertificatePair {
  /** PEM, with the intermediate authorities if there are any. */
  cert: string;
  key: string;
}

export class CertificateFiles {
  readonly #directory: string;
  readonly #load: (pair: CertificatePair) => void;
  #loaded: CertificatePair | undefined;

  /** @param directory holds tls.crt and tls.key, as a mounted Secret of type kubernetes.io/tls does */
  constructor(directory: string, load: (pair: CertificatePair) => void) {
    this.#directory = directory;
    this.#load = load;
  }

  get loaded(): boolean {
    return this.#loaded !== undefined;
  }

  /** Whoever keeps the certificate also tells the API server to trust it; nothing here can know. */
  get ready(): boolean {
    return this.loaded;
  }

  /** Throws when the files cannot be read or do not fit together; what is loaded is still served then. */
  async round(): Promise<void> {
    const read = (name: string): Promise<string> => readFile(join(this.#directory, name), 'utf8');
    const pair = { cert: await read('tls.crt'), key: await read('tls.key') };
    if (pair.cert === this.#loaded?.cert && pair.key === this.#loaded.key) return;
    if (!new X509Certificate(pair.cert).checkPrivateKey(createPrivateKey(pair.key)))
      throw new Error(
        `read "${this.#directory}": tls.key belongs to another certificate than tls.crt: replace both at once`,
      );
    this.#load(pair);
    this.#loaded = pair;
  }
}
