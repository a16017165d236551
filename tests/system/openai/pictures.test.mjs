/* The official Node client against /v1/images and /v1/videos, by `node --test`. ATELIER_PROVIDER is the id of a provider
 * with the scripted picture service. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI, { toFile } from 'openai';

const client = new OpenAI({ baseURL: `${process.env.ATELIER_URL}/v1`, apiKey: process.env.ATELIER_KEY, maxRetries: 0 });
const bytes = (item) => Buffer.from(item.b64_json, 'base64');
const isPng = (data) => data.subarray(1, 4).toString() === 'PNG';
const width = (png) => png.readUInt32BE(16);

async function made() {
  return bytes((await client.images.generate({ prompt: 'an input', size: '64x64' })).data[0]);
}

test('generates', async () => {
  const answer = await client.images.generate({ model: 'dall-e-3', prompt: 'a lighthouse', n: 2, size: '96x64', quality: 'hd' });
  assert.equal(answer.data.length, 2);
  assert.ok(answer.data.every((item) => isPng(bytes(item)) && width(bytes(item)) === 96));
});

test('gives addresses that open without a key', async () => {
  const answer = await client.images.generate({ prompt: 'a lighthouse', response_format: 'url' });
  const got = await fetch(answer.data[0].url);
  assert.equal(got.status, 200);
  assert.ok(isPng(Buffer.from(await got.arrayBuffer())));
});

test('streams the finished picture', async () => {
  const types = [];
  for await (const event of await client.images.generate({ prompt: 'a lighthouse', stream: true })) types.push(event.type);
  assert.deepEqual(types, ['image_generation.completed']);
});

test('edits with a mask, and with several pictures', async () => {
  const image = await toFile(await made(), 'in.png', { type: 'image/png' });
  const mask = await toFile(await made(), 'mask.png', { type: 'image/png' });
  assert.ok(isPng(bytes((await client.images.edit({ image, mask, prompt: 'a red door' })).data[0])));
  const second = await toFile(await made(), 'b.png', { type: 'image/png' });
  assert.equal((await client.images.edit({ image: [image, second], prompt: 'both' })).data.length, 1);
});

test('makes variations', async () => {
  const image = await toFile(await made(), 'in.png', { type: 'image/png' });
  assert.equal((await client.images.createVariation({ image, n: 2 })).data.length, 2);
});

test('errors have their types', async () => {
  await assert.rejects(client.images.generate({ prompt: 'x', size: 'big' }),
                       (error) => error instanceof OpenAI.BadRequestError && error.param === 'size');
  await assert.rejects(client.images.generate({ model: `${process.env.ATELIER_PROVIDER}/refuse`, prompt: 'x' }),
                       (error) => error instanceof OpenAI.APIError && /refused/.test(error.message));
});

test('makes a video', async () => {
  let video = await client.videos.create({ prompt: 'a wave', seconds: '4' });
  for (let i = 0; i < 600 && video.status !== 'completed'; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    video = await client.videos.retrieve(video.id);
  }
  assert.equal(video.status, 'completed');
  const file = Buffer.from(await (await client.videos.downloadContent(video.id)).arrayBuffer());
  assert.equal(file.readUInt32BE(0), 0x1a45dfa3);
});
