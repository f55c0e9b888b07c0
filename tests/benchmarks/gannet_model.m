% GABA+/Cr and Glx/Cr by the model of Gannet, written from its equations and settings alone.
%
%   octave-cli --no-init-file gannet_model.m MEASUREMENTS.mat AREAS.csv
%
% The facts are those of https://github.com/markmikkelsen/Gannet (BSD-3), GannetFit.m of 14 Sep
% 2025 (commit d4a1e1f) for target GABAGlx, which are the same in that of 22 Jun 2023 (051c335),
% with GABAGlxModel.m, TwoLorentzModel.m, FitChoCr.m, GannetLoad.m (LB, zero filling, 7-8 ppm) and
% SignalAveraging.m (half difference); method: Edden 2014 doi:10.1002/jmri.24478. Water removal,
% alignment and phase are not repeated: what comes in is prepared, creatine at 3.02 ppm.
%
% MEASUREMENTS.mat: off, on (measurement, point), dwell_s, frequency_mhz, transmitter_ppm (one
% each). AREAS.csv has a row for each measurement: areas of GABA+ and Glx in the half difference,
% of creatine in OFF [ppm], widths of creatine and GABA+ [Hz]; NaN where a fit found no peak.
1;

function [ppm, spectrum] = broadened(fid, dwell_s, frequency_mhz, transmitter_ppm)
  BROADENING_HZ = 3;
  POINTS_PER_HZ = 32768 / 2000;
  count = round(POINTS_PER_HZ / dwell_s);
  time_s = (1:numel(fid)) * dwell_s;
  spectrum = fftshift(fft(fid .* exp(-pi * BROADENING_HZ * time_s), count));
  hertz = ((0:count - 1) - floor(count / 2)) / (count * dwell_s);
  ppm = transmitter_ppm + hertz / frequency_mhz;
end

function x = least_squares(model, x, data, lower, upper, passes, tolerance)
  % Levenberg-Marquardt; parameters that press on a bound stay there for the step.
  damping = 0.01;
  residual = data - model(x);
  for pass = 1:passes
    slope = slopes(model, x);
    downhill = slope' * residual';
    free = !((x' <= lower' & downhill < 0) | (x' >= upper' & downhill > 0));
    curvature = slope(:, free)' * slope(:, free);
    cost = sum(residual .^ 2);
    better = false;
    while !better && damping < 1e12
      step = zeros(size(x));
      step(free) = (curvature + damping * diag(diag(curvature) + eps)) \ downhill(free);
      trial = min(max(x + step, lower), upper);
      left = data - model(trial);
      better = sum(left .^ 2) < cost;
      damping *= 10 ^ (1 - 2 * better);
    end
    if !better
      return
    end
    moved = norm(trial - x);
    x = trial;
    residual = left;
    if cost - sum(left .^ 2) <= tolerance * cost || moved <= tolerance * norm(x)
      return
    end
  end
end

function slope = slopes(model, x)
  here = model(x);
  slope = zeros(numel(here), numel(x));
  for k = 1:numel(x)
    step = sqrt(eps) * max(abs(x(k)), 1);
    next = x;
    next(k) += step;
    slope(:, k) = (model(next) - here) / step;
  end
end

% --- three Gaussians [height, -1 / (2 variance), centre], slope, and a slow sine and cosine

function curve = edited_model(x, ppm)
  angle = pi * ppm / 1.31 / 4;
  curve = x(10) * (ppm - x(3)) + x(11) * sin(angle) + x(12) * cos(angle);
  for k = [1, 4, 7]
    curve += x(k) * exp(x(k + 1) * (ppm - x(k + 2)) .^ 2);
  end
end

function [gaba, glx, gaba_fwhm_ppm] = edited_areas(ppm, difference)
  CHOLINE_WEIGHT = 0.001;
  spectrum = real(difference);
  noise = ppm >= 7 & ppm <= 8;
  if any(noise)
    spectrum -= mean(spectrum(noise));
  end
  inside = ppm >= 2.79 & ppm <= 4.1;
  gaba_top = max(spectrum(ppm >= 2.79 & ppm <= 3.2));
  glx_top = max(spectrum(ppm >= 3.4 & ppm <= 4.1));
  gaba = glx = gaba_fwhm_ppm = NaN;
  if !(gaba_top > 0 && glx_top > 0)
    return
  end
  ppm = ppm(inside);
  data = spectrum(inside) / glx_top;
  top = gaba_top / glx_top;
  tilt = (data(end) - data(1)) / (ppm(end) - ppm(1));
  start = [1, -700, 3.71, 1, -700, 3.79, top, -90, 3.02, tilt, 0, 0];
  glx_height = 4000;
  lower = [-glx_height, -1000, 3.69, -glx_height, -1000, 3.77, -4000 * top, -200, 2.97, ...
           -40 * top, -2000 * gaba_top, -2000 * gaba_top];
  upper = [glx_height, -40, 3.73, glx_height, -40, 3.81, 4000 * top, -40, 3.07, ...
           40 * top, 1000 * gaba_top, 1000 * gaba_top];
  plain = @(x) edited_model(x, ppm);
  x = least_squares(plain, start, data, lower, upper, 800, 1e-4);
  % then without bounds, with little weight on what the subtraction leaves of choline
  weight = ones(size(ppm));
  weight(ppm >= 3.16 & ppm <= 3.285) = CHOLINE_WEIGHT;
  root = sqrt(weight);
  weighted = @(x) root .* edited_model(x, ppm);
  x = least_squares(weighted, x, root .* data, -Inf(1, 12), Inf(1, 12), 400, 1e-6);
  if any(x([2, 5, 8]) >= 0) || !all(isfinite(x))
    return
  end
  area = glx_top * x([1, 4, 7]) .* sqrt(pi ./ -x([2, 5, 8]));
  glx = area(1) + area(2);
  gaba = area(3);
  gaba_fwhm_ppm = 2 * sqrt(log(2) / -x(8));
end

% --- creatine and choline 0.18 ppm apart as Lorentzians of one width and phase:
% [twice the area, half width, place, phase, offset, slope, choline / creatine]

function curve = singlets_model(x, ppm)
  curve = x(5) + x(6) * (ppm - x(3));
  for part = [1, x(7); 0, 0.18]
    apart = ppm - x(3) - part(2);
    size_ = part(1) * x(1) / (2 * pi);
    curve += size_ * (cos(x(4)) * x(2) + sin(x(4)) * apart) ./ (apart .^ 2 + x(2) ^ 2);
  end
end

function [area, fwhm_ppm] = creatine_area(ppm, off)
  inside = ppm >= 2.6 & ppm <= 3.6;
  ppm = ppm(inside);
  data = real(off(inside));
  half_width = 0.05;
  tall = max(data) - min(data);
  start = [4 * half_width * tall, half_width, 3.02, 0, (data(1) + data(end)) / 2, 0, 1];
  % to the scale of the spectrum, for the norm of the parameters
  linear = [1, 5, 6];
  start(linear) /= tall;
  model = @(x) singlets_model(x, ppm);
  x = least_squares(model, start, data / tall, -Inf(1, 7), Inf(1, 7), 800, 1e-6);
  area = fwhm_ppm = NaN;
  % of the creatine alone, summed over the range of the fit
  summed = tall * sum(singlets_model([x(1:4), 0, 0, 0], ppm)) * (ppm(2) - ppm(1));
  if summed > 0
    area = summed;
    fwhm_ppm = 2 * abs(x(2));
  end
end

files = argv();
in = load(files{1});
areas = NaN(numel(in.dwell_s), 5);
for m = 1:rows(areas)
  axis_ = {in.dwell_s(m), in.frequency_mhz(m), in.transmitter_ppm(m)};
  [ppm, off] = broadened(in.off(m, :), axis_{:});
  [~, on] = broadened(in.on(m, :), axis_{:});
  [gaba, glx, gaba_fwhm_ppm] = edited_areas(ppm, (on - off) / 2);
  [creatine, creatine_fwhm_ppm] = creatine_area(ppm, off);
  hertz = in.frequency_mhz(m);
  areas(m, :) = [gaba, glx, creatine, hertz * creatine_fwhm_ppm, hertz * gaba_fwhm_ppm];
end
dlmwrite(files{2}, areas, 'precision', '%.10g');
