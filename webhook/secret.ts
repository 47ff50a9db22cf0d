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

/** The certificate that this replica agreed on before. */
export interface Held {
  certificate: Certificate;
  /** It is in use; otherwise it waits for the API servers to trust it. */
  served: boolean;
}

/**
 * The certificate that all replicas serve; made, or made anew, when it is missing, broken, near its end or lacks one of the names.
 * @param held its authority stays trusted should the Secret be lost. One that is not served yet is put back then: a Secret that is deleted
 * time and again would otherwise bring ever more authorities before the first is of use
 */
export async function agree(
  store: CertificateStore,
  names: readonly string[],
  held: Held | undefined,
  now: Date,
  validity?: number,
): Promise<Certificate> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const stored = await store.read();
    const usable = stored !== undefined && isWhole(stored.certificate) ? stored.certificate : undefined;
    if (usable !== undefined && !needsRenewal(usable, names, now)) return usable;
    const waiting = usable === undefined && held?.served === false && !needsRenewal(held.certificate, names, now);
    const fresh = waiting ? held.certificate : await renewal(usable ?? held?.certificate, names, now, validity);
    const won = stored === undefined ? store.create(fresh) : store.replace(fresh, stored.resourceVersion);
    if (await won) return fresh;
  }
  throw new Error(
    `agree on a certificate: lost ${attempts} races for the Secret: something else writes it all the time`,
  );
}

/** Names that another replica asked for stay: otherwise two of different minds would renew in turns for ever. */
function renewal(
  earlier: Certificate | undefined,
  names: readonly string[],
  now: Date,
  validity: number | undefined,
): Promise<Certificate> {
  const allNames = new Set([...names, ...(earlier === undefined ? [] : certificateNames(earlier))]);
  return makeCertificate([...allNames], earlier?.authorities ?? '', now, validity);
}
