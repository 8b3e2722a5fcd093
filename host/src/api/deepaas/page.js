"use strict";
// Kept by this page alone: gone when it is closed.
let authorization = null;
const said = document.getElementById("said");

function show() {
  SwaggerUIBundle({
    url: "/swagger.json",
    dom_id: "#models",
    validatorUrl: null,
    tryItOutEnabled: true,
    displayRequestDuration: true,
    requestInterceptor: (request) => {
      if (authorization) { request.headers["Authorization"] = authorization; }
      return request;
    },
  });
}

async function isTaken(header) {
  try {
    new Headers({ "Authorization": header });
  } catch {
    return false;
  }
  const answer = await fetch("/v2/models/", { headers: { "Authorization": header, "Accept": "application/json" } });
  return answer.ok;
}

document.getElementById("who").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = document.getElementById("key").value;
  const bytes = new TextEncoder().encode("oscar:" + key);
  const basic = "Basic " + btoa(String.fromCharCode(...bytes));
  authorization = null;
  said.textContent = "";
  for (const header of key ? ["Bearer " + key, basic] : []) {
    if (await isTaken(header)) { authorization = header; break; }
  }
  if (key && !authorization) { said.textContent = "That is neither a service's token nor the admin's password."; }
  show();
});
show();
