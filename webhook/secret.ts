// How the replicas agree on one certificate: it is what the Secret holds. Who makes it first wins; the others read.
import { type Certificate, certificateNames, isWhole, makeCertificate, needsRenewal } from './certificate.ts';

export interface StoredCertificate {
  certificate: Certificate;
  resourceVersion: string;
}

export interface CertificateStore {
  /** Undefined where there is no Secret; a Secret without the keys gives empty texts. */
  read(): Promise<StoredCertificate | undefined>;
  /** False when somebody else was first. */
  create(certificate: Certificate): Promise<boolean>;
  /** False when it is no longer at this resourceVersion. */
  replace(certificate: Certificate, resourceVersion: string): Promise<boolean>;
}

/** Each lost race means that another replica has just won one; with two replicas the second look finds its work. */
const attempts = 5;

/**
 * The certificate that all replicas serve; made, or made anew, when it is missing, broken, near its end or lacks one of the names.
 * @param loaded what this replica serves now: its authority stays trusted should the Secret be lost
 */
export async function agree(
  store: CertificateStore,
  names: readonly string[],
  loaded: Certificate | undefined,
  now: Date,
): Promise<Certificate> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const stored = await store.read();
    const usable = stored !== undefined && isWhole(stored.certificate) ? stored.certificate : undefined;
    if (usable !== undefined && !needsRenewal(usable, names, now)) return usable;
    // Names that another replica asked for stay: otherwise two of different minds would renew in turns for ever.
    const allNames = new Set([...names, ...(usable === undefined ? [] : certificateNames(usable))]);
    const fresh = await makeCertificate([...allNames], (usable ?? loaded)?.authorities ?? '', now);
    const won = stored === undefined ? store.create(fresh) : store.replace(fresh, stored.resourceVersion);
    if (await won) return fresh;
  }
  throw new Error(
    `agree on a certificate: lost ${attempts} races for the Secret: something else writes it all the time`,
  );
}
