/** passkeys.js - the browser's side of passkeys: making one and signing in with one. The server decides; here bytes become base64url. */
import * as api from "../api.js";

/** @param {ArrayBuffer|Uint8Array} data */
const encode = (data) => btoa(String.fromCharCode(...new Uint8Array(data))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
/** @param {string} text */
const decode = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));

/** A number in the address is no name that a passkey can be made for. */
export const passkeysOffered = () => typeof PublicKeyCredential === "function" && isSecureContext && !/^[\d.]+$|:/.test(location.hostname);

/** What a person did not want is no fault; null then. @param {() => Promise<any>} ask */
async function asked(ask) {
  try { return await ask(); } catch (error) {
    if (["NotAllowedError", "AbortError"].includes(/** @type {any} */ (error).name)) return null;
    throw error;
  }
}

/** @param {string} name @param {string} password "": none; null: the person did not go on */
export async function makePasskey(name, password) {
  const options = await api.post("/me/passkeys/options", password ? { password } : {});
  const made = await asked(() => navigator.credentials.create({ publicKey: {
    challenge: decode(options.challenge), rp: { id: options.rp_id, name: "Atelier" }, user: { id: decode(options.user_handle), name: options.user_name, displayName: options.user_name },
    pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: /** @type {const} */ ("public-key"), alg })), excludeCredentials: options.exclude.map((/** @type {string} */ id) => ({ type: "public-key", id: decode(id) })),
    authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification: "required" }, attestation: "none" } }));
  if (!made) return null;
  const response = /** @type {any} */ (made).response;
  return api.post("/me/passkeys", { name, client_data: encode(response.clientDataJSON), authenticator_data: encode(response.getAuthenticatorData()), algorithm: response.getPublicKeyAlgorithm() });
}

/** The new session; null: the person did not go on. */
export async function signInWithPasskey() {
  const options = await api.post("/session/passkey/options", {});
  const used = await asked(() => navigator.credentials.get({ publicKey: { challenge: decode(options.challenge), rpId: options.rp_id, userVerification: "required" } }));
  if (!used) return null;
  const response = /** @type {any} */ (used).response;
  return api.post("/session/passkey", { id: encode(/** @type {any} */ (used).rawId), client_data: encode(response.clientDataJSON), authenticator_data: encode(response.authenticatorData), signature: encode(response.signature), ...(response.userHandle ? { user_handle: encode(response.userHandle) } : {}) });
}
