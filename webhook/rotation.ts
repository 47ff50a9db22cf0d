// One round of keeping the certificate: agree on it, make the API server trust it, serve it. Repeated for as long as the webhook runs.
import { type Configurations, type Published, publish } from './cabundle.ts';
import { authorityOf, type Certificate } from './certificate.ts';
import { agree, type CertificateStore } from './secret.ts';

export interface RotationParts {
  store: CertificateStore;
  configurations: Configurations;
  names: readonly string[];
  /** Serves it from now on, for new connections. */
  load(certificate: Certificate): void;
  now(): Date;
}

export class Rotation {
  readonly #parts: RotationParts;
  #loaded: Certificate | undefined;
  #published: Published = 'unconfirmed';

  constructor(parts: RotationParts) {
    this.#parts = parts;
  }

  /** There is something to serve, whether or not anybody trusts it yet. */
  get loaded(): boolean {
    return this.#loaded !== undefined;
  }

  /** A certificate is served and both configurations trusted its authority when last seen. */
  get ready(): boolean {
    return this.#loaded !== undefined && this.#published !== 'unconfirmed';
  }

  /** Throws when the API server does not answer; what was known before then still holds. */
  async round(): Promise<void> {
    const { store, configurations, names, load, now } = this.#parts;
    const current = await agree(store, names, this.#loaded, now());
    const published = await publish(configurations, current.authorities);
    if (mayLoad(this.#loaded, current, published)) {
      load(current);
      this.#loaded = current;
    }
    this.#published = published;
  }
}

/**
 * A renewed certificate waits for one whole round after its authority went into the configurations: each API server follows them at
 * its own pace and trusts the old one meanwhile. The first is served at once, as is one that shares no authority with the old.
 */
export function mayLoad(loaded: Certificate | undefined, current: Certificate, published: Published): boolean {
  if (loaded === undefined) return true;
  if (loaded.cert === current.cert) return false;
  return published === 'held' || !current.authorities.includes(authorityOf(loaded));
}
