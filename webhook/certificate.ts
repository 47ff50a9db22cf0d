// The webhook's certificate: made by an authority that signs once and whose key is then forgotten, so that there is no authority to steal.
import 'reflect-metadata';
import { createPrivateKey, type webcrypto, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** All PEM. */
export interface Certificate {
  cert: string;
  key: string;
  /** The authority of cert, then those of earlier certificates that are still valid. */
  authorities: string;
}

const hour = 3_600_000;
const day = 24 * hour;
/** A renewal every two months: often enough that it is no rare event, with a month left to mend one that fails. */
export const defaultValidity = 90 * day;
/** A renewed certificate is noticed, trusted and served in three rounds, which must fit into the third of its life that is left then. */
const roundsInLife = 10;
/** Clocks of API servers that are behind ours still accept it. */
const backdated = hour;
/**
 * Renewals are two thirds of a life apart, so at most two are valid at a time. Renewals out of turn come when somebody deletes the
 * Secret: two replicas make at most four in the two rounds that a replica needs to follow.
 */
const maxAuthorities = 5;
const authorityName = 'CN=dbbackup-webhook-ca-';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const signingAlgorithm = { name: 'ECDSA', hash: 'SHA-256' } as const;

/**
 * Milliseconds of a text such as 90d, 12h, 30m or 60s.
 * @param interval between rounds, in milliseconds
 * @throws Error when it is no such text, or too short to renew in time
 */
export function parseValidity(text: string, interval: number): number {
  const [, count, unit = ''] = /^(\d{1,5})([smhd])$/.exec(text) ?? [];
  const units: Record<string, number> = { s: 1000, m: 60_000, h: hour, d: day };
  const validity = Number(count) * (units[unit] ?? Number.NaN);
  const named = `read --certificate-validity "${text}"`;
  if (Number.isNaN(validity)) throw new Error(`${named}: is no duration: write for example 90d, 12h, 30m or 60s`);
  const least = roundsInLife * interval;
  if (validity >= least) return validity;
  throw new Error(
    `${named}: is shorter than ten rounds: write at least ${least / 1000}s, or a smaller --interval-seconds`,
  );
}

const newKeys = (): Promise<webcrypto.CryptoKeyPair> => crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);

/**
 * Makes an authority and a certificate for these DNS names and addresses; keeps the earlier authorities in the bundle.
 * @param validity milliseconds from now
 */
export async function makeCertificate(
  names: readonly string[],
  earlier: string,
  now: Date,
  validity = defaultValidity,
): Promise<Certificate> {
  const period = {
    notBefore: new Date(now.getTime() - backdated),
    notAfter: new Date(now.getTime() + validity),
    signingAlgorithm,
  };
  const [authorityKeys, keys] = await Promise.all([newKeys(), newKeys()]);
  // A name of its own, so that whoever verifies is never led to the authority before it.
  const issuer = `${authorityName}${crypto.randomUUID()}`;
  const authority = await X509CertificateGenerator.createSelfSigned({
    ...period,
    name: issuer,
    keys: authorityKeys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
      await SubjectKeyIdentifierExtension.create(authorityKeys.publicKey),
    ],
  });
  const certificate = await X509CertificateGenerator.create({
    ...period,
    subject: 'CN=dbbackup-webhook',
    issuer,
    publicKey: keys.publicKey,
    signingKey: authorityKeys.privateKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }))),
      await AuthorityKeyIdentifierExtension.create(authorityKeys.publicKey),
    ],
  });
  const kept = split(trusted(earlier, now));
  return {
    cert: pemText(certificate.toString('pem')),
    key: pemOfKey(await crypto.subtle.exportKey('pkcs8', keys.privateKey)),
    authorities: [pemText(authority.toString('pem')), ...kept].slice(0, maxAuthorities).join(''),
  };
}

/** The authorities of ours among these that are valid, each once, newest first, as text that depends on nothing else. */
export function trusted(bundle: string, now: Date): string {
  const found = new Map<string, number>();
  for (const pem of split(bundle)) {
    const parsed = parse(pem);
    if (parsed?.subject.startsWith(authorityName) && isValidAt(parsed, now))
      found.set(pemText(pem), parsed.validFromDate.getTime());
  }
  const newestFirst = [...found].sort(([a, from], [b, to]) => to - from || (a < b ? -1 : 1));
  return newestFirst
    .map(([pem]) => pem)
    .slice(0, maxAuthorities)
    .join('');
}

/** Less than a third of its life is left, or it does not speak for one of the names. */
export function needsRenewal({ cert }: Certificate, names: readonly string[], now: Date): boolean {
  const parsed = new X509Certificate(cert);
  const from = parsed.validFromDate.getTime() + backdated;
  const to = parsed.validToDate.getTime();
  return to - now.getTime() < (to - from) / 3 || names.some((name) => !speaksFor(parsed, name));
}

/** Compared as addresses and host names, which have more than one spelling. */
function speaksFor(certificate: X509Certificate, name: string): boolean {
  return (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)) !== undefined;
}

/** Do key, certificate and authority belong together? */
export function isWhole({ cert, key, authorities }: Certificate): boolean {
  try {
    const parsed = new X509Certificate(cert);
    const [first] = split(authorities);
    if (first === undefined || !parsed.checkPrivateKey(createPrivateKey(key))) return false;
    return parsed.verify(new X509Certificate(first).publicKey);
  } catch {
    return false;
  }
}

/** Every name and address that the certificate speaks for. */
export function certificateNames({ cert }: Certificate): string[] {
  const { subjectAltName } = new X509Certificate(cert);
  return (subjectAltName ?? '').split(', ').map((name) => name.replace(/^(DNS|IP Address):/, ''));
}

/** Nobody accepts it any more. */
export function isExpired({ cert }: Certificate, now: Date): boolean {
  return new X509Certificate(cert).validToDate <= now;
}

/** The authority that signed the certificate. */
export function authorityOf({ authorities }: Certificate): string {
  return split(authorities)[0] ?? '';
}

function parse(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function isValidAt(certificate: X509Certificate, now: Date): boolean {
  return certificate.validFromDate <= now && now < certificate.validToDate;
}

function split(bundle: string): string[] {
  return bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? [];
}

const pemText = (pem: string): string => `${pem.trimEnd()}\n`;

function pemOfKey(der: ArrayBuffer): string {
  return createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' })
    .export({ format: 'pem', type: 'pkcs8' })
    .toString();
}
