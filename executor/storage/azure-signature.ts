// The signature of a request with an account's key: "Authorize with Shared Key" of Azure's documentation, in its form since 2015.
import { createHmac } from 'node:crypto';
import type { HttpRequest } from './http.ts';

/** Headers that are signed by their place; all others that count begin with x-ms-. The length is left out when it is 0. */
const signedHeaders = [
  'content-encoding',
  'content-language',
  'content-length',
  'content-md5',
  'content-type',
  'date',
  'if-modified-since',
  'if-match',
  'if-none-match',
  'if-unmodified-since',
  'range',
];

export interface SharedKey {
  account: string;
  key: Buffer;
}

const byName = ([a]: [string, string], [b]: [string, string]): number => (a < b ? -1 : a > b ? 1 : 0);

/** @param headers in lower case, all that will be sent but the authorization, with x-ms-date */
export function sharedKeyAuthorization(
  { account, key }: SharedKey,
  { method, url, body = [] }: HttpRequest,
  headers: Record<string, string>,
): string {
  const length = body.reduce((sum, piece) => sum + piece.length, 0);
  const all: Record<string, string> = { ...headers, 'content-length': length === 0 ? '' : String(length) };
  const own = Object.entries(headers).filter(([name]) => name.startsWith('x-ms-'));
  const query = [...url.searchParams].map(([name, value]): [string, string] => [name.toLowerCase(), value]);
  const text = [
    method,
    ...signedHeaders.map((name) => all[name] ?? ''),
    ...own.sort(byName).map(([name, value]) => `${name}:${value.trim()}`),
    `/${account}${url.pathname}${query
      .sort(byName)
      .map(([name, value]) => `\n${name}:${value}`)
      .join('')}`,
  ].join('\n');
  return `SharedKey ${account}:${createHmac('sha256', key).update(text, 'utf8').digest('base64')}`;
}
