// A small server that speaks AssumeRoleWithWebIdentity as AWS documents it: there is no token service of AWS that a test could ask. It
// notes what it was asked, and answers with credentials or with a refusal.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface StsServer {
  endpoint: string;
  /** Each request's parameters. */
  asked: URLSearchParams[];
  /** What it answers from now on. */
  answer: { credentials: { id: string; key: string } } | { status: number; code: string };
  stop(): Promise<void>;
}

const name = 'AssumeRoleWithWebIdentity';

function success({ id, key }: { id: string; key: string }): string {
  const fields = `<AccessKeyId>${id}</AccessKeyId><SecretAccessKey>${key}</SecretAccessKey><SessionToken>session-canary</SessionToken>`;
  const expiration = `<Expiration>${new Date(Date.now() + 3_600_000).toISOString()}</Expiration>`;
  const user =
    '<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/backups/x</Arn><AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser>';
  return `<${name}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${name}Result>${user}<Credentials>${fields}${expiration}</Credentials></${name}Result></${name}Response>`;
}

function refusal(code: string): string {
  const error = `<Error><Type>Sender</Type><Code>${code}</Code><Message>Not authorized: token-canary</Message></Error>`;
  return `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">${error}<RequestId>1</RequestId></ErrorResponse>`;
}

export async function startStsServer(): Promise<StsServer> {
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      sts.asked.push(new URLSearchParams(body));
      const { answer } = sts;
      const status = 'status' in answer ? answer.status : 200;
      const xml = 'status' in answer ? refusal(answer.code) : success(answer.credentials);
      response.writeHead(status, { 'content-type': 'text/xml' }).end(xml);
    });
  });
  const sts: StsServer = {
    endpoint: '',
    asked: [],
    answer: { status: 500, code: 'InternalFailure' },
    stop: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  sts.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return sts;
}
