/* The official Node client against /v1, by `node --test`. ATELIER_URL and ATELIER_KEY say where; ATELIER_CHAT_MODEL
 * which model; with ATELIER_SCRIPTED the provider behind is upstream.py and does what the last message says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';

const model = process.env.ATELIER_CHAT_MODEL ?? 'default';
const scripted = { skip: process.env.ATELIER_SCRIPTED ? false : 'needs the scripted provider' };
const options = { baseURL: `${process.env.ATELIER_URL}/v1`, apiKey: process.env.ATELIER_KEY, maxRetries: 0 };
const client = new OpenAI(options);
const say = (text) => [{ role: 'user', content: text }];

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

test('answers whole with usage', async () => {
  const answer = await client.chat.completions.create({ model, messages: say('words=3 | hello'), max_tokens: 8 });
  assert.ok(answer.choices[0].message.content);
  assert.ok(answer.usage.completion_tokens > 0);
});

test('streams, and tells usage only when asked', async () => {
  const ask = { model, messages: say('words=4 | hello'), max_tokens: 8, stream: true };
  let chunks = await collect(await client.chat.completions.create(ask));
  assert.ok(chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? '').join(''));
  assert.ok(chunks.every((chunk) => chunk.choices.length > 0 && !chunk.usage));
  chunks = await collect(await client.chat.completions.create({ ...ask, stream_options: { include_usage: true } }));
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.ok(chunks.at(-1).usage.completion_tokens > 0);
});

test('lists models and finds one by its id', async () => {
  const ids = [];
  for await (const item of client.models.list()) ids.push(item.id);
  assert.ok(ids.includes('default'));
  assert.ok(ids.includes(model));
  assert.equal((await client.models.retrieve(model)).id, model);
  await assert.rejects(client.models.retrieve('prv_none/of/this'), OpenAI.NotFoundError);
});

test('wrong keys, unknown models and refusals have their class', async () => {
  const stranger = new OpenAI({ ...options, apiKey: 'atl_wrong' });
  await assert.rejects(stranger.models.list(), (error) => {
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.equal(error.code, 'invalid_api_key');
    return true;
  });
  await assert.rejects(client.chat.completions.create({ model: 'no-such-model', messages: say('x') }),
    OpenAI.NotFoundError);
  await assert.rejects(client.chat.completions.create({ model, messages: say('atelier policy canary 7f3a') }),
    OpenAI.PermissionDeniedError);
});

test('errors of the provider have their class', scripted, async () => {
  const kinds = [[400, OpenAI.BadRequestError, 'invalid_request'], [404, OpenAI.NotFoundError, 'model_not_found'],
    [429, OpenAI.RateLimitError, 'upstream_rate_limited'], [500, OpenAI.InternalServerError, 'upstream_failed']];
  for (const [status, kind, code] of kinds) {
    await assert.rejects(client.chat.completions.create({ model, messages: say(`status=${status} |`) }), (error) => {
      assert.ok(error instanceof kind, `${status}: ${error}`);
      assert.equal(error.code, code);
      return true;
    });
  }
});

test('a cut stream raises', scripted, async () => {
  const stream = await client.chat.completions.create({ model, messages: say('words=9 cut=3 |'), stream: true });
  await assert.rejects(collect(stream), (error) => error instanceof OpenAI.APIError && error.code === 'upstream_cut');
});

test('an aborted stream ends without an error', async () => {
  const stream = await client.chat.completions.create({ model, messages: say('words=5000 delay=0.02 | Count to a thousand.'),
    stream: true });
  let seen = 0;
  for await (const chunk of stream) {
    seen += chunk.choices.length;
    stream.controller.abort();
  }
  assert.ok(seen >= 1);
});
