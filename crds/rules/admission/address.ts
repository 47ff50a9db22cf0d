// Addresses that nobody's database or store has, in any notation: this pod itself, the node's metadata service, nowhere.

/** Names that lead to the pod itself, to the API server or to a cloud's metadata service. */
const names =
  /^(localhost|.+\.localhost|kubernetes|kubernetes\.default(\.svc(\.cluster\.local)?)?|metadata|metadata\.google\.internal)\.?$/i;

/** IPv4 in the notations that resolvers take (hex, octal, one number), as four numbers. */
function ipv4(host: string): number[] | undefined {
  if (!/^[0-9a-fx.]+$/i.test(host) || !/^\d/.test(host) || !URL.canParse(`http://${host}`)) return undefined;
  const normal = new URL(`http://${host}`).hostname;
  return /^\d+\.\d+\.\d+\.\d+$/.test(normal) ? normal.split('.').map(Number) : undefined;
}

function ipv4Refusal([a = 0, b = 0, c = 0, d = 0]: number[]): string | undefined {
  if (a === 127) return 'is a loopback address, which is the pod itself';
  if (a === 0) return 'is the unspecified address';
  if (a === 169 && b === 254) return 'is a link-local address, where clouds keep their metadata';
  if (a === 100 && b === 100 && c === 100 && d === 200) return 'is the metadata address of a cloud';
  if (a >= 224) return 'is a multicast or reserved address';
  return undefined;
}

function ipv6Refusal(host: string): string | undefined {
  if (!URL.canParse(`http://[${host}]`)) return 'is not an IPv6 address';
  const normal = new URL(`http://[${host}]`).hostname.slice(1, -1);
  if (normal === '::1') return 'is a loopback address, which is the pod itself';
  if (normal === '::') return 'is the unspecified address';
  // An IPv4 address inside: mapped, translated by NAT64, or in the form that was given up long ago.
  const inside = /^(::ffff:|64:ff9b::|::)(([0-9a-f]+):)?([0-9a-f]+)$/.exec(normal);
  if (inside !== null) {
    const [high, low] = [Number.parseInt(inside[3] ?? '0', 16), Number.parseInt(inside[4] ?? '', 16)];
    return ipv4Refusal([high >> 8, high & 255, low >> 8, low & 255]);
  }
  if (/^fe[89ab]/.test(normal)) return 'is a link-local address';
  if (normal === 'fd00:ec2::254') return 'is the metadata address of a cloud';
  if (normal.startsWith('ff')) return 'is a multicast address';
  return undefined;
}

/** Why a host cannot be meant; undefined when it can. Takes a DNS name or an address without brackets. */
export function refusedHost(host: string): string | undefined {
  if (host.includes(':')) return ipv6Refusal(host);
  if (names.test(host)) return 'is a name of the pod itself, the API server or a metadata service';
  if (host.length > 253 || host.split('.').some((label) => label.length > 63))
    return 'is longer than a DNS name may be';
  // No DNS name ends in a number, and what reads it as an address may read 010 as 8.
  if (/^([0-9]+|0x[0-9a-f]*)$/i.test(host.replace(/\.$/, '').split('.').at(-1) ?? '')) {
    const four = ipv4(host);
    if (four === undefined) return 'is neither a DNS name nor an address';
    return (
      ipv4Refusal(four) ?? (four.join('.') === host ? undefined : `is not the usual spelling of ${four.join('.')}`)
    );
  }
  return /\.\.|-\.|\.-/.test(host) ? 'is not a DNS name' : undefined;
}
