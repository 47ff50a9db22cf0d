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
const validity = 90 * day;
/** Clocks of API servers that are behind ours still accept it. */
const backdated = hour;
/** Renewals are 60 days apart and last 90, so at most two are valid at a time; one more for a renewal out of turn. */
const maxAuthorities = 3;

const algorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const signingAlgorithm = { name: 'ECDSA', hash: 'SHA-256' } as const;

const newKeys = (): Promise<webcrypto.CryptoKeyPair> => crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);

/** Makes an authority and a certificate for these DNS names and addresses; keeps the earlier authorities in the bundle. */
export async function makeCertificate(names: readonly string[], earlier: string, now: Date): Promise<Certificate> {
  const period = {
    notBefore: new Date(now.getTime() - backdated),
    notAfter: new Date(now.getTime() + validity),
    signingAlgorithm,
  };
  const [authorityKeys, keys] = await Promise.all([newKeys(), newKeys()]);
  // A name of its own, so that whoever verifies is never led to the authority before it.
  const issuer = `CN=dbbackup-webhook-ca-${crypto.randomUUID()}`;
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
  const kept = split(earlier).filter((pem) => isValidAt(new X509Certificate(pem), now));
  return {
    cert: pemText(certificate.toString('pem')),
    key: pemOfKey(await crypto.subtle.exportKey('pkcs8', keys.privateKey)),
    authorities: [pemText(authority.toString('pem')), ...kept].slice(0, maxAuthorities).join(''),
  };
}

/** Less than a third of its life is left, or it does not speak for one of the names. */
export function needsRenewal({ cert }: Certificate, names: readonly string[], now: Date): boolean {
  const parsed = new X509Certificate(cert);
  const from = parsed.validFromDate.getTime();
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

/** The authority that signed the certificate. */
export function authorityOf({ authorities }: Certificate): string {
  return split(authorities)[0] ?? '';
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
