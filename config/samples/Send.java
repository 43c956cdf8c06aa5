import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Signs a webhook and sends it. Needs Java 17 or newer, and nothing else.
 *
 * <pre>WEBHOOK_SECRET=… java Send.java FILE [URL]     FILE: one event, or an array of them</pre>
 *
 * Without URL the headers are printed. WEBHOOK_SCHEME: acme (default), acme-body or standard.
 */
public final class Send {
    public static void main(String[] arguments) throws Exception {
        byte[] body = Files.readAllBytes(Path.of(arguments[0]));
        String scheme = System.getenv().getOrDefault("WEBHOOK_SCHEME", "acme");
        Map<String, String> headers = sign(scheme, System.getenv("WEBHOOK_SECRET"), body);
        if (arguments.length < 2) {
            headers.forEach((name, value) -> System.out.println(name + ": " + value));
            return;
        }
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(arguments[1]))
                .timeout(Duration.ofSeconds(30))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofByteArray(body));
        headers.forEach(request::header);
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        HttpResponse<String> answer = client.send(request.build(), HttpResponse.BodyHandlers.ofString());
        System.out.println(answer.body());
        // 2xx: kept. 429 and 503: sign and send again after Retry-After. Another 4xx: sending again is in vain.
        System.exit(answer.statusCode() / 100 == 2 ? 0 : 1);
    }

    /** The headers that vouch for these bytes; {@code body} must be sent as it is. */
    static Map<String, String> sign(String scheme, String secret, byte[] body)
            throws GeneralSecurityException {
        String time = String.valueOf(Instant.now().getEpochSecond());
        Map<String, String> headers = new LinkedHashMap<>();
        switch (scheme) {
            case "acme" -> {
                headers.put("X-Acme-Timestamp", time);
                headers.put("X-Acme-Signature", "sha256=" + hex(hmac(utf8(secret), utf8(time + "."), body)));
            }
            case "acme-body" ->
                headers.put("X-Acme-Signature", "sha256=" + hex(hmac(utf8(secret), new byte[0], body)));
            case "standard" -> {
                String id = "msg_" + UUID.randomUUID();
                byte[] key = Base64.getDecoder().decode(secret.replaceFirst("^whsec_", ""));
                byte[] signature = hmac(key, utf8(id + "." + time + "."), body);
                headers.put("webhook-id", id);
                headers.put("webhook-timestamp", time);
                headers.put("webhook-signature", "v1," + Base64.getEncoder().encodeToString(signature));
            }
            default -> throw new IllegalArgumentException("unknown scheme " + scheme);
        }
        return headers;
    }

    private static byte[] hmac(byte[] key, byte[] prefix, byte[] body) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        mac.update(prefix);
        return mac.doFinal(body);
    }

    private static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (byte each : bytes) {
            text.append(String.format("%02x", each));
        }
        return text.toString();
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
