// Asks an Azure blob server what takes a signed request: `create` makes the container, `list PREFIX` prints size and name of each blob.
// Shared Key as Azure documents it: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key

import crypto from 'node:crypto';
import http from 'node:http';

const [port, account, key, container, command, prefix = ''] = process.argv.slice(2);

function ask(method, query) {
  const path = `/${account}/${container}`;
  const headers = { 'x-ms-date': new Date().toUTCString(), 'x-ms-version': '2021-08-06' };
  const names = Object.keys(query).sort();
  const signed = [
    method,
    // Content-Encoding to Range: none of these headers is sent.
    ...Array(11).fill(''),
    ...Object.entries(headers).map(([name, value]) => `${name}:${value}`),
    [`/${account}${path}`, ...names.map((name) => `${name}:${query[name]}`)].join('\n'),
  ].join('\n');
  const signature = crypto.createHmac('sha256', Buffer.from(key, 'base64')).update(signed, 'utf8').digest('base64');
  headers.Authorization = `SharedKey ${account}:${signature}`;
  const search = names.map((name) => `${name}=${encodeURIComponent(query[name])}`).join('&');
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, method, path: `${path}?${search}`, headers }, (response) => {
      let body = '';
      response.on('data', (part) => (body += part));
      response.on('end', () => {
        if (response.statusCode < 300) resolve(body);
        else reject(new Error(`${method} ${search}: ${response.statusCode} ${body}`));
      });
    });
    request.on('error', reject);
    request.end();
  });
}

const text = (xml, tag) => xml.match(new RegExp(`<${tag}>([^<]*)</${tag}>`))?.[1] ?? '';

if (command === 'create') {
  await ask('PUT', { restype: 'container' });
} else {
  let marker = '';
  do {
    const page = await ask('GET', { restype: 'container', comp: 'list', prefix, ...(marker && { marker }) });
    for (const [, blob] of page.matchAll(/<Blob>(.*?)<\/Blob>/gs)) {
      console.log(`${text(blob, 'Content-Length')} ${text(blob, 'Name')}`);
    }
    marker = text(page, 'NextMarker');
  } while (marker);
}
